"""``apportion negotiate``: bargain with the providers' nodes, by hand round by round, or by an agent with a limit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from apportion.faces import tables
from apportion.faces.cli.options import PLACE as WHERE
from apportion.faces.cli.options import TABLE, BadUsage, Place, TableAnswer
from apportion.faces.cli.reach import Reach, changing
from apportion.faces.tables import Table, trimmed

if TYPE_CHECKING:
    from apportion.engine.bargaining.views import NegotiationView, OfferStands
    from apportion.faces.negotiations import Negotiations
    from apportion.model.negotiation import Mandate
    from apportion.model.session_asked import Asked

    T = TypeVar("T", bound=Asked)

_HELP = (
    "counter AMOUNT [PROVIDER [PART]]   what the provider would earn for its part, without tax\n"
    "last AMOUNT [PROVIDER [PART]]      the same, and ask for the best and final offer\n"
    "accept [PROVIDER [PART]]           take its offer; the best of all when nobody is named\n"
    "wait                               look again\n"
    "leave                              walk away"
)


def negotiate(
    request: str,
    /,
    *,
    limit: str = "",
    mandate: str = "",
    rounds: int = 8,
    seconds: int = 0,
    pace: str = "",
    mode: str = "rounds",
    begin: bool = False,
    allow_private_addresses: bool = False,
    place: Place = WHERE,
    answer: TableAnswer = TABLE,
) -> int:
    """Bargain with the providers' nodes about a request: by hand, or by an agent inside a private limit.

    Such as: apportion negotiate request.toml --limit 25 --store books.db

    Without a limit you bargain: moves are read line by line (counter, last, accept, wait, leave). With --json each
    answer is one line of JSON. What is agreed is a plan, to be accepted before its bids run out. Exit code 1 when
    nothing was agreed.

    Args:
        request: A TOML or JSON file with the request.
        limit: The most that may be paid in all, tax included. It is kept nowhere, and no provider learns of it.
        mandate: A TOML or JSON file with all of what an agent may agree to, instead of a limit.
        rounds: How many counter-offers an agent makes at most.
        seconds: How long it may take: 30 for an agent, and for yourself 300, when not given.
        pace: How an agent gives way: linear (evenly), boulware (late), conceder (early), or the exponent.
        mode: How an agent settles: rounds, first-offer, or second-price (a reverse auction).
        begin: Open a session by what was agreed at once.
        allow_private_addresses: Let provider nodes lie on this machine or in a private network.
    """
    from apportion.faces.negotiations import Negotiations
    from apportion.model.request import Request

    if mode not in ("rounds", "first-offer", "second-price"):
        raise BadUsage(f"--mode: {mode[:40]!r} is none. One of rounds, first-offer, second-price.")
    if limit and mandate:
        raise BadUsage("--limit and --mandate are two mandates. Choose one.")
    given = _mandate(limit, mandate, rounds, seconds, pace)
    if given is None and request == "-":
        raise BadUsage("Moves are read from standard input. Give the request as a file.")
    wanted = _read(request, Request)
    with changing(place) as books:
        books.ask_providers(private=allow_private_addresses)
        talks = Negotiations(books.ask, books.pages)
        if given is not None:
            found = talks.begin(wanted, given, mode=mode)  # type: ignore[arg-type]
        else:
            found = _by_hand(talks, talks.begin(wanted, seconds=seconds or 300), answer)
        return _ended(books, found, answer, begin=begin, by_hand=given is None)


def _mandate(limit: str, path: str, rounds: int, seconds: int, pace: str) -> Mandate | None:
    """What an agent may do; None when there is none."""
    import msgspec

    from apportion.errors import RefusalCode, refuse
    from apportion.model.negotiation import Mandate

    if path:
        return _read(path, Mandate)
    if not limit:
        return None
    exponent = {"": "3", "linear": "1", "boulware": "4", "conceder": "0.25"}.get(pace, pace)
    try:
        return msgspec.convert(
            {"limit": limit, "rounds": rounds, "seconds": seconds or 30, "pace": exponent}, type=Mandate
        )
    except msgspec.ValidationError as error:
        raise refuse(RefusalCode.BAD_INPUT, f"{error}.", field="mandate") from None


def _by_hand(talks: Negotiations, found: NegotiationView, answer: TableAnswer) -> NegotiationView:
    """Read moves until it has ended; a move that is refused changes nothing. The end of the input walks away."""
    from apportion.errors import Refused

    person = sys.stdin.isatty() and not answer.json
    if person:
        print(_HELP)
    while True:
        _show(found, answer)
        if found.state.value != "open":
            return found
        if person:
            print("> ", end="", flush=True)
        words = (sys.stdin.readline() or "leave").split()
        if not words:
            continue
        try:
            found = _move(talks, found.id, words)
        except (Refused, BadUsage) as error:
            said = error.refusal.sentence() if isinstance(error, Refused) else str(error)
            print(f"apportion: {said}", file=sys.stderr)
            found = talks.get(found.id)


def _move(talks: Negotiations, id: str, words: list[str]) -> NegotiationView:
    """One move as it was typed."""
    from apportion.model.talks import CounterAsked, OfferTaken

    verb, rest = words[0], words[1:]
    first, second, third = (*rest, "", "", "")[:3]
    moves: dict[str, tuple[range, Callable[[], NegotiationView]]] = {
        "counter": (range(1, 4), lambda: talks.counter(id, CounterAsked(first, second, third))),
        "last": (range(1, 4), lambda: talks.counter(id, CounterAsked(first, second, third, last=True))),
        "accept": (range(3), lambda: talks.accept(id, [OfferTaken(first, second)] if rest else ())),
        "wait": (range(1), lambda: talks.get(id)),
        "leave": (range(1), lambda: talks.end(id)),
    }
    counts, move = moves.get(verb, (range(0), None))
    if move is None or len(rest) not in counts:
        raise BadUsage(f"{' '.join(words)[:60]!r} is no move. The moves:\n{_HELP}")
    return move()


def _ended(books: Reach, found: NegotiationView, answer: TableAnswer, *, begin: bool, by_hand: bool) -> int:
    """Say how it ended, and begin what was agreed."""
    session = books.plans.accept(found.agreed) if begin and found.agreed else None
    if answer.json:
        if not by_hand:
            tables.write_json(found)
        if session is not None:
            tables.write_json({"session": session})
    else:
        if not by_hand:
            _show(found, answer)
        if not answer.csv:
            _tell(found)
            if session is not None:
                print(f"{session.id} runs by {found.agreed}. Report its use with apportion session report.")
    return 0 if found.agreed else 1


def _tell(found: NegotiationView) -> None:
    print(f"\n{found.id}: {found.answered} of {found.asked} provider nodes bargained, rounds: {found.round}.")
    if found.plan is None:
        print(f"Nothing was agreed: {found.reason or 'its time was over'}.")
        return
    best = next(one for one in found.plan.scenarios if one.name == found.plan.preferred)
    crew = " + ".join(part.provider for part in best.parts)
    print(f"Agreed: {trimmed([best.total])[0]} {found.currency} by {crew}, as {found.agreed} until {found.plan.due}.")


def _show(found: NegotiationView, answer: TableAnswer) -> None:
    if answer.json:
        tables.write_json(found)
        sys.stdout.flush()
        return
    columns = ("provider", "part", "earns", "fee", "in all", "quality", "until", "")
    answer.give(Table(columns, [_row(one, found) for one in found.offers]))


def _row(one: OfferStands, found: NegotiationView) -> tuple[str, ...]:
    price, fee, total = (trimmed([text])[0] if text else "" for text in (one.price, one.fee, one.total))
    until = one.until[11:19] if one.until[:10] == found.at[:10] else one.until[:10]  # the day, when it is another
    if found.plan is not None:
        taken = {(part.provider, part.part) for scenario in found.plan.scenarios for part in scenario.parts}
        said = "taken" if (one.provider, one.part) in taken else ""
    else:
        said = one.out or ("bargains" if one.open else "will not move" if one.live else "")
    return one.provider, one.part, price, fee, total, str(one.points) if fee else "", until, said


def _read(path: str, kind: type[T]) -> T:
    """The record of a file, as strictly as one that comes over HTTP."""
    import msgspec

    from apportion.adapters.catalog_file import load_record
    from apportion.errors import RefusalCode, refuse

    read = load_record(path, kind, lambda record: [])
    try:
        return msgspec.convert(msgspec.to_builtins(read), kind)
    except msgspec.ValidationError as error:
        raise refuse(RefusalCode.BAD_INPUT, f"{error}.", field=kind.__name__.lower()) from None
