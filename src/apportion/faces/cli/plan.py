"""``apportion plan``: the scenarios of a request side by side, and from there to a running session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from apportion.faces.cli.options import PLACE as WHERE
from apportion.faces.cli.options import TABLE, BadUsage, Place, TableAnswer
from apportion.faces.cli.reach import changing
from apportion.faces.tables import Table, trimmed

if TYPE_CHECKING:
    from apportion.engine.broker.views import PlanView, ScenarioView
    from apportion.faces.plans import Plans
    from apportion.model.request import Request

_BATCH = 200
_TITLES = {"lowest-cost": "lowest cost", "best-quality": "best quality", "best-value": "best value"}
_COMPARED = ("usual", "dearest")


def plan(
    request: str,
    /,
    *,
    ask: int | None = None,
    allow_private_addresses: bool = False,
    candidates: bool = False,
    compare: bool = False,
    accept: str = "",
    place: Place = WHERE,
    answer: TableAnswer = TABLE,
) -> int:
    """Find the best providers for a request: three scenarios compared, and why these.

    Such as: apportion plan request.toml --store books.db

    Nothing is held or charged by a plan; accepting one opens a session at exactly its terms. Exit code 1 when nothing
    fits; the message then says what would.

    Args:
        request: A TOML or JSON file with the request, or `-`; a file ending in .jsonl has one on every line.
        ask: How many milliseconds provider nodes have to answer; the standing offers only when 0.
        allow_private_addresses: Let provider nodes lie on this machine or in a private network.
        candidates: Show everybody who could deliver, with the reason why not.
        compare: Show also what the usual providers would cost, and the dearest that fit.
        accept: Open a session by this scenario at once: lowest-cost, best-quality, best-value, or preferred.
    """
    if accept and accept != "preferred" and accept not in _TITLES:
        raise BadUsage(f"--accept: {accept[:40]!r} is no scenario. One of preferred, {', '.join(_TITLES)}.")
    changes: dict[str, Any] = ({} if ask is None else {"ask": ask}) | ({"compare": True} if compare else {})
    with changing(place) as books:
        if ask:
            books.ask_providers(private=allow_private_addresses)
        if request.endswith(".jsonl"):
            if accept or candidates:
                raise BadUsage(
                    "A file of many requests is planned as a whole; take one plan by apportion session begin."
                )
            return _many(books.plans, _changed(_lines(request), changes), answer, compare)
        found = books.plans.make(next(_changed([_one(request)], changes)))
        session = books.plans.accept(found.id, "" if accept == "preferred" else accept) if accept else None
    if answer.json:
        answer.give(_side_by_side(found), {"plan": found, "session": session} if session is not None else found)
        return 0
    if answer.give(_candidates(found) if candidates else _side_by_side(found)):
        _told(found)
        if session is not None:
            print(f"{session.id} runs by {found.id}. Report its use with apportion session report.")
    return 0


def _one(path: str) -> Request:
    """The request of a file, as strictly as one that comes over HTTP."""
    import msgspec

    from apportion.adapters.catalog_file import load_record
    from apportion.errors import RefusalCode, refuse
    from apportion.model.request import Request

    read = load_record(path, Request, lambda record: [])
    try:
        return msgspec.convert(msgspec.to_builtins(read), Request)
    except msgspec.ValidationError as error:
        raise refuse(RefusalCode.BAD_INPUT, f"{error}.", field="request") from None


def _lines(path: str) -> Iterator[Request | Any]:
    """The requests of a JSON Lines file; a line that is none gives its refusal."""
    import msgspec

    from apportion.errors import Refusal, RefusalCode
    from apportion.model.request import Request

    decoder = msgspec.json.Decoder(Request)
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    yield Refusal(RefusalCode.BAD_INPUT, f"{error}.", "request", where=f"{path}:{number}")


def _changed(requests: Iterable[Request | Any], changes: dict[str, Any]) -> Iterator[Request | Any]:
    """The requests as the words of the command change them."""
    import msgspec

    from apportion.errors import Refusal

    for one in requests:
        yield one if isinstance(one, Refusal) else msgspec.structs.replace(one, **changes)


# one plan


def _side_by_side(found: PlanView) -> Table:
    """The scenarios as columns."""
    columns = ("", *[_title(one, found) for one in found.scenarios])
    rows = [("fee", *_amounts(found, "total")), ("of it tax", *_amounts(found, "tax"))]
    if any(one.cost for one in found.scenarios):
        rows += [("to providers", *_amounts(found, "cost")), ("kept by the platform", *_amounts(found, "margin"))]
    rows += [
        ("latency, ms", *[str(one.latency) for one in found.scenarios]),
        ("up, of the time", *[one.availability for one in found.scenarios]),
        ("quality points", *[str(one.points) for one in found.scenarios]),
    ]
    for part in dict.fromkeys(part.part for one in found.scenarios for part in one.parts):
        rows.append((part, *[_crew(one, part) for one in found.scenarios]))
    return Table(columns, rows)


def _title(one: ScenarioView, found: PlanView) -> str:
    return _TITLES.get(one.name, one.name) + ("*" if one.name == found.preferred else "")


def _amounts(found: PlanView, field: str) -> list[str]:
    return [f"{amount} {found.currency}" for amount in trimmed([getattr(one, field) for one in found.scenarios])]


def _crew(one: ScenarioView, name: str) -> str:
    part = next((part for part in one.parts if part.part == name), None)
    if part is None:
        return ""
    marks = [f"over {part.network}"] if part.network else []
    marks += ["by agreement"] if part.agreement else []
    marks += ["paid to be preferred"] if part.placed else []
    return part.provider + (f" ({', '.join(marks)})" if marks else "")


def _candidates(found: PlanView) -> Table:
    columns = (
        "part",
        "provider",
        "network",
        "fee",
        "cost",
        "latency",
        "availability",
        "rating",
        "taken for",
        "why not",
    )
    rows = [
        (
            one.part, one.provider, one.network, one.fee, one.cost, str(one.latency), one.availability, one.rating,
            ", ".join(_TITLES.get(name, name) for name in one.taken), "" if one.taken else one.why,
        )
        for one in found.candidates
    ]  # fmt: skip
    return Table(columns, rows)


def _told(found: PlanView) -> None:
    """What a person should know beside the table."""
    print(f"\n{found.id}: * is taken unless another is named. It may be accepted until {found.due}.")
    if found.relaxed:
        print(f"Nothing fitted all limits. Given up, in this order: {', '.join(found.relaxed)}.")
    if found.policy:
        print("The operator minimises what providers cost, not what payers pay.")
    for one in found.scenarios:
        if any(part.placed for part in one.parts):
            paid = f"{trimmed([one.placed])[0]} {found.currency}"
            print(f"{_TITLES[one.name]}: a provider paid to be preferred, which makes it {paid} dearer.")
    if found.approval:
        print(f"Not approved for these payers, but it would fit: {', '.join(found.approval)}.")
    if found.dearest:
        usual, dearest = trimmed([found.usual, found.dearest])
        print(f"The usual providers would cost {usual} {found.currency}, the dearest that fit {dearest}.")
    if found.asked:
        print(f"{found.answered} of {found.asked} provider nodes answered in time.")


# many


def _many(plans: Plans, requests: Iterable[Request | Any], answer: TableAnswer, compare: bool) -> int:
    """A row for every request; the last one sums up."""
    from apportion.engine.broker.door import NOT_LOOKED_AT
    from apportion.errors import Refusal
    from apportion.faces.progress import Progress

    found: list[Any] = []
    places: list[int] = []  # of requests that wait

    def send() -> None:
        answers = plans.make_all([found[at] for at in places])
        left = [at for at, one in zip(places, answers, strict=True) if one.refusal == NOT_LOOKED_AT]
        for at, one in zip(places, answers, strict=True):
            if one.refusal != NOT_LOOKED_AT:
                found[at] = one
        places[:] = left

    with Progress("planned") as progress:
        for one in requests:
            found.append(one)
            if not isinstance(one, Refusal):
                places.append(len(found) - 1)
            if len(places) == _BATCH:
                send()
                progress.update(len(found))
        while places:
            send()
    table, refused = _rows(found, _COMPARED if compare else ())
    answer.give(table)
    return 1 if refused and refused == len(found) else 0


def _rows(found: Sequence[Any], compared: tuple[str, ...]) -> tuple[Table, int]:
    """A row for every request, and how many have no plan."""
    columns = ("plan", "currency", *_TITLES.values(), *compared, "providers", "refused")
    rows: list[tuple[str, ...]] = []
    refused = 0
    for one in found:
        plan: PlanView | None = getattr(one, "plan", None)
        if plan is None:
            refused += 1
            rows.append(("", "", *[""] * (len(columns) - 3), getattr(one, "refusal", one).sentence()))
            continue
        totals = {scenario.name: scenario.total for scenario in plan.scenarios}
        crew = next(scenario for scenario in plan.scenarios if scenario.name == plan.preferred).parts
        amounts = [*[totals.get(name, "") for name in _TITLES], *[getattr(plan, name) for name in compared]]
        rows.append((plan.id, plan.currency, *amounts, " + ".join(part.provider for part in crew), ""))
    return Table(columns, rows, _sums(rows, refused)), refused


def _sums(rows: Sequence[tuple[str, ...]], refused: int) -> tuple[str, ...]:
    """What all plans come to; nothing where they are in several currencies."""
    from apportion.money.exact import decimal_text

    planned = [row for row in rows if row[0]]
    if len({row[1] for row in planned}) != 1:
        return ()
    sums: list[str] = []
    for column in list(zip(*planned, strict=True))[2:-2]:
        scale = len(column[0].partition(".")[2])
        sums.append(decimal_text(sum(int(amount.replace(".", "")) for amount in column), scale))
    without = f"{refused} without a plan" if refused else ""
    return (f"{len(planned)} plans", planned[0][1], *sums, "", without)
