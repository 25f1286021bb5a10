"""Trust-based credit: ``trust fit``, ``show``, ``set`` and ``write-off``."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, Parameter

from apportion.faces.cli.options import ANSWER, PLACE, Answer, BadUsage, Place
from apportion.faces.cli.reach import Reach, changing, reading
from apportion.faces.tables import Table, write_table

if TYPE_CHECKING:
    from apportion.engine.credit.door import TrustView
    from apportion.engine.query import AccountView
    from apportion.model.credit import Example, History, Month, TrustModel, TrustPolicy

COLUMNS = ("client", "limit", "billed", "paid", "months_late", "outcome")
_OUTCOMES = {"paid": True, "missed": False}
_MONTHS_LATE_MAX = 1200


def fit(history: str, /, *, out: str = "model.json", answer: Answer = ANSWER) -> None:
    """Fit the linear prediction of payment on past clients; needs numpy.

    Such as: apportion trust fit examples/credit/history.csv.gz --out model.json

    The first three quarters of the clients teach, the last quarter measures. Every coefficient keeps to its side of
    zero: a late payment can not help.

    Args:
        history: CSV, also as .gz, with the columns client, limit, billed, paid, months_late and outcome (paid or
            missed); a row a month, newest first; an empty client, limit or outcome is the one above.
        out: The file that the model is written to.
    """
    import msgspec

    from apportion.stages.credit import fit as fit_model

    file = Path(history)
    model = fit_model(list(examples(file)), file.name)
    Path(out).write_bytes(msgspec.json.format(msgspec.json.encode(model), indent=2) + b"\n")
    if answer.json:
        answer.give(model, "")
        return
    _tell(model)
    print(f"\nWrote {out}. See what it gives somebody: apportion trust show PARTY --model {out}")


def show(
    party: str = "",
    /,
    *,
    model: str = "",
    currency: str = "",
    cap: str = "",
    starting: str = "",
    share: str = "",
    minimum_score: str = "",
    due_days: Annotated[int | None, Parameter(validator=lambda _, days: _days(days))] = None,
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """A payer's credit as it stands in the books, and why; without a party, what the model looks at.

    With any of the options of a policy or a model: what that would give instead. Nothing is changed.

    Args:
        party: A payer or an account id.
        model: What if: a model file that trust fit wrote.
        currency: Which account, when the payer has several.
        cap: What if: the most that the policy allows, in the account's currency; 1000 when not given.
        starting: What if: the limit without a history; 0 when not given.
        share: What if: the part of what was used and paid on time that may become a credit line; 0.25 when not given.
        minimum_score: What if: the score from which there is credit; 0.7 when not given.
        due_days: What if: a statement is due so many days after its issue.
    """
    given = {"cap": cap, "starting": starting, "share": share, "minimum_score": minimum_score}
    given = {name: value for name, value in given.items() if value}
    if not party:
        _show_model(model, answer)
        return
    if not (given or model or due_days is not None):
        with reading(place) as books:
            view = books.trust(_account(books, party, currency).id)
        if view.decision is not None or place.remote or view.outstanding != "0":
            answer.give(view, _stands(view))
            return
    _what_if(place, party, (currency, due_days, model), given, answer)


def set_credit(party: str, /, *, currency: str = "", place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Decide a payer's credit line anew, by what its history earns now.

    It is decided by itself whenever a statement is issued, value comes in or a due date passes.

    Args:
        party: A payer or an account id.
        currency: Which account, when the payer has several.
    """
    with changing(place) as books:
        made = books.set_credit(_account(books, party, currency).id)
    answer.give(made, f"The credit line of {party} is {_short(made.credit)} {made.currency} ({made.id}).")


def write_off(
    party: str, /, *, amount: str = "", currency: str = "", place: Place = PLACE, answer: Answer = ANSWER
) -> None:
    """Move a payer's debt to who stands for its credit line; the line goes to zero.

    Providers keep what they earned. Value that comes in later makes it good first.

    Args:
        party: A payer or an account id.
        amount: How much of the debt; all of it when not given.
        currency: Which account, when the payer has several.
    """
    with changing(place) as books:
        made = books.write_off(_account(books, party, currency).id, amount)
    who = made.guarantor or "the platform"
    owes = f" {who} owes now." if made.below_zero else ""
    answer.give(made, f"Wrote off {_short(made.amount)} {made.currency} of {party} against {who} ({made.id}).{owes}")


def commands(group: str, default_parameter: Parameter | None) -> App:
    """``apportion trust …`` for the program."""
    app = App(
        name="trust",
        help="Trust-based credit: what a payer's history earns, and what becomes of a debt.",
        group=group,
        default_parameter=default_parameter,
    )
    named: dict[str, Callable[..., None]] = {"fit": fit, "show": show, "set": set_credit, "write-off": write_off}
    for name, command in named.items():
        app.command(command, name=name, help_format="markdown")
    return app


def _days(days: int | None) -> None:
    if days is not None and not 0 <= days <= 3660:
        raise ValueError("due days must be 0 to 3660.")


def _account(books: Reach, party: str, currency: str) -> AccountView:
    """The payer's account that is meant."""
    found = [view for view in books.accounts(party, "payer") if currency in ("", view.currency)]
    if len(found) != 1:
        _refuse(
            f"{party[:60]!r} has {len(found) or 'no'} payer's accounts{f' in {currency}' if currency else ''}.",
            "party",
            "Name the currency with --currency." if found else "List them with `apportion balance --role payer`.",
        )
    return found[0]


def _stands(view: TrustView) -> str:
    """What stands, as a person reads it."""
    who = view.guarantor or "the platform"
    credit, least, owed = (_short(text) for text in (view.credit, view.least, view.outstanding))
    lines = [f"The credit line is {credit} {view.currency}, for which {who} stands; at least {least}."]
    if view.declined:
        lines.append(f"Credit is declined: {view.declined}")
    if view.outstanding != "0":
        lines.append(f"{owed} {view.currency} was written off; value that comes in makes it good first.")
    if view.decided:
        lines.append(f"The last decision is {view.decided}. By the books as they stand now:")
    return "\n".join([*lines, *view.words])


def _short(amount: str) -> str:
    """An amount without the zeros at its end."""
    from apportion.money import Exact

    return Exact.parse(amount).text()


def _show_model(model: str, answer: Answer) -> None:
    from apportion.engine.credit.trails import default_model

    chosen = _read_model(Path(model)) if model else default_model()
    if answer.json:
        answer.give(chosen, "")
    else:
        _tell(chosen)


def _what_if(
    place: Place, party: str, chosen: tuple[str, int | None, str], given: dict[str, str], answer: Answer
) -> None:
    """What a policy and a model would give; a node only says what stands."""
    import msgspec

    from apportion.engine.credit import standing
    from apportion.model.credit import TrustPolicy

    if place.remote:
        raise BadUsage("What another policy would give is worked out on a store, not over HTTP. Leave its options out.")
    currency, due_days, model = chosen
    by = _read_model(Path(model)) if model else standing.default_model()
    with place.read() as engine:
        history = standing.history_of(engine, party, currency=currency, due_days=due_days)
    code = history.asset.partition("/")[0]
    policy = msgspec.convert({"currency": code, "cap": "1000", **given}, TrustPolicy)
    _decision(policy, by, history, answer)


def _decision(policy: TrustPolicy, model: TrustModel, history: History, answer: Answer) -> None:
    from apportion.stages.credit import decide, explain

    decision = decide(policy, model, history)
    words = explain(decision)
    answer.give({"decision": decision, "words": words}, "\n".join(words))


def _tell(model: TrustModel) -> None:
    from apportion.stages.credit import FACTORS

    print(f"{model.version}, fitted on {model.trained_on or 'clients not named'}")
    unseen, mixed = model.auc or "unknown", model.auc_folds or "unknown"
    print(f"AUC {unseen} on the last quarter of the clients, held out; {mixed} in five folds mixed over all.")
    print(f"The average client scores {model.intercept}. Each factor is a number from 0 to 1:\n")
    about = {factor.name: factor.about for factor in FACTORS}
    rows = [
        (one.factor, one.coefficient, one.mean, _counts(one.coefficient), about.get(one.factor, ""))
        for one in model.weights
    ]
    write_table(Table(("factor", "coefficient", "mean", "", "what it is"), rows))


def _counts(coefficient: str) -> str:
    if not coefficient.strip("-0."):
        return "counts nothing"
    return "lowers the score" if coefficient.startswith("-") else "raises the score"


def _read_model(file: Path) -> TrustModel:
    import msgspec

    from apportion.model.credit import TrustModel

    try:
        return msgspec.json.decode(file.read_bytes(), type=TrustModel)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        _refuse(f"{file.name} is no model: {error}.", "model", "Make one: apportion trust fit HISTORY.")


# ── histories ──


def examples(file: Path) -> Iterator[Example]:
    """The clients of a history file, in its order.

    Raises:
        Refused: BAD_INPUT or BAD_AMOUNT, with the place.
    """
    from apportion.model.credit import Example, History

    months: list[Month] = []
    client, kept = "", True
    for line, cells in _rows(file):
        if cells["client"] not in ("", client):
            if months:
                yield Example(client, History(tuple(months), months[0].months_late), kept)
            client, months = cells["client"], []
            if cells["outcome"] not in _OUTCOMES:
                _refuse("must be paid or missed.", "outcome", where=line)
            kept = _OUTCOMES[cells["outcome"]]
        if not client:
            _refuse("the first row names no client.", "client", where=line)
        months.append(_month(cells, months[-1].limit if months else None, line))
    if months:
        yield Example(client, History(tuple(months), months[0].months_late), kept)


def _rows(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    opener = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rt", encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if lacking:
                _refuse(f"the file lacks {', '.join(lacking)}.", "columns", f"Its columns are {', '.join(COLUMNS)}.")
            for number, row in enumerate(reader, 2):
                yield f"{file.name} line {number}", {name: (row[name] or "").strip() for name in COLUMNS}
    except (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        _refuse(f"{file.name} is no CSV file: {error}.", "history")


def _month(cells: dict[str, str], above: int | None, line: str) -> Month:
    from apportion.errors import Refused
    from apportion.model.credit import Month
    from apportion.money import Asset, Money

    counted = Asset("HISTORY", 9)  # only ratios count: any unit does
    try:
        billed, paid = (Money.parse(cells[name], counted, field=name).atoms for name in ("billed", "paid"))
        if above is None or cells["limit"]:
            above = Money.parse(cells["limit"], counted, field="limit").atoms
    except Refused as error:
        import msgspec

        raise Refused(msgspec.structs.replace(error.refusal, where=line)) from None
    late = cells["months_late"]
    if not (late.isascii() and late.isdecimal() and len(late) <= 4 and int(late) <= _MONTHS_LATE_MAX):
        _refuse(f"must be a whole number from 0 to {_MONTHS_LATE_MAX}.", "months_late", where=line)
    return Month(billed, paid, above, months_late=int(late))


def _refuse(message: str, field: str, fix: str = "", *, where: str = "") -> NoReturn:
    from apportion.errors import Refusal, RefusalCode, Refused

    raise Refused(Refusal(RefusalCode.BAD_INPUT, message, field, fix, where))
