"""Disputes: ``dispute open``, ``list``, ``show``, ``evidence``, ``decide`` and ``withdraw``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from cyclopts import App, Parameter

from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, BadUsage, Place, TableAnswer, read
from apportion.faces.cli.reach import changing, reading
from apportion.faces.tables import Table, trimmed

if TYPE_CHECKING:
    from apportion.engine.disputes.door import DecisionAnswer
    from apportion.engine.disputes.views import DisputeView

_COLUMNS = ("id", "charge", "state", "role", "by", "amount", "currency", "part", "against", "granted", "opened")


def open_case(
    charge: str,
    amount: str = "",
    /,
    *,
    reference: str,
    payer: str = "",
    provider: str = "",
    part: str = "",
    against: str = "",
    reason: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Dispute a charge for a payer, or a portion of it for a provider.

    Such as: apportion dispute open chg_… 4.20 --reference ticket-17 --reason "the ride ended at the station"

    What would have to be given back is set aside until the case ends.

    Args:
        charge: The charge (chg_…).
        amount: How much of it; all that stands when not given.
        reference: What makes the case unique for ever.
        payer: Whose share is too high; whoever bears the charge alone when neither is given.
        provider: Who earned more of it.
        part: The part that the provider delivered, when it is not clear.
        against: The provider that earned too much; the platform when not given.
        reason: Why; kept beside the books, as evidence.
    """
    from apportion.engine.disputes.door import DisputeInput

    words = {
        "charge": charge, "amount": amount, "reference": reference, "payer": payer, "provider": provider,
        "part": part, "against": against, "reason": reason,
    }  # fmt: skip
    with changing(place) as books:
        made = books.disputes.open(read(words, DisputeInput))
    amount = trimmed([made.amount])[0]
    answer.give(made, f"{made.id}  {amount} {made.currency} of {made.charge} is disputed by {made.account}")


def cases(
    *,
    state: Literal["", "open", "decided", "withdrawn"] = "",
    charge: str = "",
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
) -> None:
    """Disputes as they stand.

    Args:
        state: Only those open, decided or withdrawn.
        charge: Only those about this charge, oldest first.
    """
    with reading(place) as books:
        found = list(books.disputes.all(state, charge))
    answer.give(Table.of(found, _COLUMNS), found)


def show(id: str, /, *, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """One dispute with the evidence of both sides and that of the books.

    Args:
        id: The case (dsp_…).
    """
    with reading(place) as books:
        found = books.disputes.one(id)
    answer.give(found, "\n".join(_told(found)))


def evidence(
    id: str,
    text: str,
    /,
    *,
    title: str = "",
    private: bool = False,
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Add a text to an open dispute.

    Args:
        id: The case (dsp_…).
        text: The text; @FILE reads it from a file.
        title: What it is.
        private: For the operator alone.
    """
    if text.startswith("@"):
        text = _file(text[1:])
    with changing(place) as books:
        made = books.disputes.add(id, text, title, private=private)
    answer.give(made, f"{made.id}  evidence {made.place}, digest {made.digest}")


def decide(
    id: str,
    granted: str = "",
    /,
    *,
    fault: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Decide a dispute: all of it, a part, or nothing.

    Args:
        id: The case (dsp_…).
        granted: How much is granted; all when not given, nothing when 0.
        fault: The provider that alone gives what a payer is granted.
    """
    with changing(place) as books:
        _ended(books.disputes.decide(id, granted, fault), answer)


def withdraw(id: str, /, *, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Give a dispute up: all that was set aside goes back.

    Args:
        id: The case (dsp_…).
    """
    with changing(place) as books:
        _ended(books.disputes.withdraw(id), answer)


def _ended(made: DecisionAnswer, answer: Answer) -> None:
    granted = f", {trimmed([made.granted])[0]} granted" if made.state == "decided" else ""
    booked = f" by {made.made}" if made.made else ""
    answer.give(made, f"{made.id}  {made.state}{granted}{booked}")


def _file(path: str) -> str:
    from pathlib import Path

    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadUsage(f"{path} can not be read: {error}") from None


def _told(case: DisputeView) -> list[str]:
    """A case for a person."""
    who, amount = f"{case.role} {case.by}".rstrip(), trimmed([case.amount])[0]
    said = [
        f"{case.id}  {case.state} since {case.at}",
        f"{who} disputes {amount} {case.currency} of {case.charge}",
    ]
    if case.part:
        said.append(f"for {case.part}, against {case.against}")
    amounts = trimmed([one.amount for one in case.held])
    said += [f"set aside  {one.owner} {text}" for one, text in zip(case.held, amounts, strict=True)]
    if case.granted:
        said.append(f"granted    {trimmed([case.granted])[0]}{' by ' + case.made if case.made else ''}")
    for one in case.evidence:
        said += ["", f"evidence {one.place}, {one.by} at {one.at}{': ' + one.title if one.title else ''}"]
        said.append(f"  {one.text}" if one.text else f"  (forgotten; digest {one.digest})")
    if case.books is not None:
        said += ["", f"The books, row {case.books.row}: {case.books.explained.title}"]
        for section in case.books.explained.sections:
            said += [f"  {fact.name}  {fact.value}" for fact in section.facts]
        said.append(f"  {case.books.explained.check}")
    return said


_COMMANDS: dict[str, Callable[..., None]] = {
    "open": open_case, "list": cases, "show": show, "evidence": evidence, "decide": decide, "withdraw": withdraw,
}  # fmt: skip


def commands(group: str, default_parameter: Parameter | None) -> App:
    """``apportion dispute …`` for the program."""
    program = App(name="dispute", help="Cases about charges.", group=group, default_parameter=default_parameter)
    for name, command in _COMMANDS.items():
        program.command(command, name=name, help_format="markdown")
    return program
