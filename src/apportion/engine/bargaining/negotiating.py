"""What each operation on negotiations does: nodes are asked on a planner's thread, then it goes into the books.

A user who leads it makes one move a call; an agent makes all of them within one.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from apportion.engine.bargaining.agent import bargain, check_offered, clock, counters, end_others, plan_with
from apportion.engine.bargaining.stands import Stand, Stands, millis, taken_in
from apportion.engine.bargaining.talking import Table
from apportion.engine.bargaining.views import (
    NegotiationPage,
    NegotiationView,
    may_see,
    negotiation_line,
    seen,
    stood,
    talks_of,
    view,
)
from apportion.engine.broker.door import home_of
from apportion.engine.broker.planning import parts_of, terms_in_force
from apportion.engine.broker.wish import Wish, read_request
from apportion.engine.charging import instant
from apportion.engine.cursor import Cursors
from apportion.engine.engine import Engine
from apportion.engine.exchange import PageQuery
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.access import AccessRole, Credential
from apportion.model.bid import CounterOffer
from apportion.model.command import Outcome
from apportion.model.ids import key_id, read_key, read_number
from apportion.model.negotiation import Accept, Counter, Negotiation, NegotiationState, Walk
from apportion.model.plan import PlanMade
from apportion.model.request import Request
from apportion.model.talks import (
    NEGOTIATION,
    AgreeAsked,
    CounterAsked,
    NegotiationAsked,
    NegotiationLine,
    NegotiationMove,
    OfferTaken,
    Talks,
    TalksState,
)
from apportion.model.usage import PayerUse
from apportion.money import Exact
from apportion.stages.broker.bargaining.moves import check, moved, opened

replace = msgspec.structs.replace
_LINE = msgspec.json.Decoder(NegotiationLine)
_SCAN = 10_000
_STATES = {
    NegotiationState.OPEN: TalksState.OPEN, NegotiationState.AGREED: TalksState.AGREED,
    NegotiationState.WALKED: TalksState.WALKED,
}  # fmt: skip


def negotiate(engine: Engine, call: Call) -> list[object]:
    """Begin one: by an agent until its end, or with the first offers."""
    given: NegotiationAsked = call.given
    home = home_of(call.caller, given.request)
    if given.mandate is not None and home:
        raise refuse(
            RefusalCode.BAD_INPUT, "a mandate is for who pays alone: no provider may know it.", field="mandate",
            fix="Make counter-offers, or give it to the platform with a key of the payer's own.",
        )  # fmt: skip
    if given.mandate is None and given.mode != "rounds":
        raise refuse(
            RefusalCode.BAD_INPUT, "only an agent settles without rounds.", field="mode",
            fix="Give a mandate, or take an offer yourself.",
        )  # fmt: skip
    wish = _wish(engine, given.request)
    table = Table(engine, wish, parts_of(wish))
    line = NegotiationLine(
        id=key_id("neg", secrets.token_bytes(16)), n=1, state=TalksState.OPEN, at="", began="",
        service=given.request.service, asset=wish.service.asset_text, request="", mode=given.mode,
        agent=given.mandate is not None, home=home,
    )  # fmt: skip
    if given.mandate is not None:
        done = bargain(table, given.mandate, given.mode, (home, call.caller.role.value))
        return [_move(table, line, Talks(line.id, _public(wish), reason=done.reason), done.negotiation, done.stands,
                      done.plan)]  # fmt: skip
    began = clock(engine)
    table.ask(table.patience)
    stands = table.stands()
    check_offered(table, stands)
    negotiation = taken_in(opened((), began), stands, table.out, table.final)
    until = instant(datetime.fromisoformat(engine.clock.now()) + timedelta(seconds=given.seconds))
    return [_move(table, replace(line, due=until), Talks(line.id, _public(wish)), negotiation, stands)]


def counter(engine: Engine, call: Call) -> list[object]:
    """Send a counter-offer to one provider or to all, and hear what they say."""
    given: CounterAsked = call.given
    line, talks, table = _at_table(engine, call)
    stands = table.past()
    negotiation, now = _now(table, talks, stands), clock(engine)
    price, until = _price(given.amount), _until(given.until)
    chosen = _addressed(table, stands, given)
    refused, sent, unit = None, list[Counter](), table.wish.service.asset.unit
    for stand in chosen:
        terms = replace(stand.terms, amount=stand.amount_of(price, unit), until=until)
        if given.quality is not None:  # better is asked for, whatever that is in points
            terms = replace(terms, quality=min(1000, terms.quality + 1))
        made = Counter(stand.name, terms, given.last)
        wrong = check(negotiation, made, now)
        refused = refused or wrong
        if wrong is None:
            negotiation = moved(negotiation, made, now)
            sent.append(made)
    if not sent:
        assert refused is not None
        raise Refused(refused)
    asked = {
        name: replace(one, quality=given.quality, until=given.until)
        for name, one in _exactly(counters(sent, stands, table.wish.service.asset), given, table).items()
    }
    table.counter(asked, table.patience)
    stands = table.past()
    return [_move(table, _next(line), talks, _heard(table, negotiation, stands), stands)]


def agree(engine: Engine, call: Call) -> list[object]:
    """Make the plan of the offers as they stand."""
    given: AgreeAsked = call.given
    line, talks, table = _at_table(engine, call)
    stands = table.stands()
    negotiation, now = _now(table, talks, stands), clock(engine)
    names = [_taken(table, talks, stands, one) for one in given.offers]
    if len({stands.found[name].quoted.offer.part for name in names}) < len(names):
        raise refuse(RefusalCode.BAD_INPUT, "two of them are for the same part.", field="offers", fix="Take one.")
    for name in names:
        offer = negotiation.sides[name].offer
        assert offer is not None
        wrong = check(negotiation, Accept(name, offer), now)
        if wrong is not None:
            raise Refused(wrong)
    plan = plan_with(table, stands, names, (line.home, call.caller.role.value))
    stands = table.past()
    end_others(table, plan)
    negotiation = replace(negotiation, state=NegotiationState.AGREED, provider=names[0] if names else "")
    return [_move(table, _next(line), talks, negotiation, stands, plan)]


def walk(engine: Engine, call: Call) -> list[object]:
    """Walk away; the nodes are told that nothing comes of it."""
    line, talks, table = _at_table(engine, call)
    stands = table.past()
    negotiation = moved(_now(table, talks, stands), Walk(), clock(engine))
    table.end()
    return [_move(table, _next(line), replace(talks, reason="the user walked away"), negotiation, stands)]


def told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> NegotiationView:
    outcome = outcomes[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    return view(engine, negotiation_line(engine, outcome.id), call.caller)


def negotiation_of(engine: Engine, call: Call) -> NegotiationView:
    """One negotiation as it stands.

    Raises:
        Refused: NOT_FOUND.
    """
    return view(engine, seen(engine, call.caller, call.id), call.caller)


def negotiations(engine: Engine, call: Call) -> NegotiationPage:
    """All that the caller may see, in the order of their ids."""
    query: PageQuery = call.query
    cursors, own = Cursors(engine), frozenset(Sight(engine, call.caller).own)
    place = cursors.read(query.after, "negotiations")
    after = f"{NEGOTIATION}{place:016x}{'f' * 16}" if place else NEGOTIATION
    shown, looked = list[NegotiationView](), 0
    for course in engine.store.all_courses(engine.tenant, after):
        if not course.id.startswith(NEGOTIATION):
            break
        if looked >= _SCAN or len(shown) == query.limit:
            return NegotiationPage(tuple(shown), cursors.write(int(after[4:20], 16), "negotiations"))
        after, looked = course.id, looked + 1
        line = _LINE.decode(course.line)
        if may_see(line, call.caller, own):
            shown.append(view(engine, line, call.caller, whole=False))
    return NegotiationPage(tuple(shown))


# step by step


def _wish(engine: Engine, request: Request) -> Wish:
    """The request read; one whose fee does not follow what providers earn has nothing to negotiate about.

    Raises:
        Refused: what is wrong with it; DECLINED before any node is asked.
    """
    wish = read_request(engine, terms_in_force(engine), request, engine.clock.now())
    if wish.service.service.market.retail != "passed-on":
        raise refuse(
            RefusalCode.BAD_INPUT, "payers pay one price for the whole of it, whatever its providers earn.",
            field="request.service", fix='Negotiate about services that pass on their parts (retail = "passed-on").',
        )  # fmt: skip
    return wish


def _public(wish: Wish) -> Request:
    """The request as it may be kept: nobody's name, nothing personal, and when it starts."""
    request, personal = wish.request, wish.service.personal
    public = {name: value for name, value in request.attributes.items() if name not in personal}
    return replace(request, payers=(PayerUse("somebody"),), attributes=public, start=instant(wish.start))


def _at_table(engine: Engine, call: Call) -> tuple[NegotiationLine, Talks, Table]:
    """An open negotiation that the caller leads, with the nodes that sit at it.

    Raises:
        Refused: NOT_FOUND, PLAN_ENDED.
    """
    line = seen(engine, call.caller, call.id)
    talks = talks_of(engine, line.id)
    if talks is None or not _leads(engine, line, call.caller):
        raise nothing()
    if line.state is not TalksState.OPEN or millis(line.due) <= clock(engine):
        raise refuse(RefusalCode.PLAN_ENDED, "the negotiation is over.", field="id", fix="Begin a new one.")
    wish = _wish(engine, _again(engine, line, talks.request))
    return line, talks, Table(engine, wish, parts_of(wish), talks.nodes)


def _leads(engine: Engine, line: NegotiationLine, caller: Credential) -> bool:
    """Users lead what they pay alone."""
    if caller.role is not AccessRole.USER:
        return True
    own = frozenset(Sight(engine, caller).own)
    return all(payer.account in own for payer in line.payers)


def _again(engine: Engine, line: NegotiationLine, public: Request) -> Request:
    """What was asked for, with the names of those who pay and what is personal."""
    numbers = [read_number(payer.account) for payer in line.payers]
    accounts = engine.store.accounts(engine.tenant, numbers)
    parties = [accounts[number].party for number in numbers]
    names = engine.store.handles_of(engine.tenant, parties)
    payers = tuple(
        PayerUse(names.get(party, ""), payer.weight, pays=payer.pays)
        for party, payer in zip(parties, line.payers, strict=True)
    )
    key = read_key(line.id)
    rows = engine.store.people(engine.tenant, parties[0]) if line.macs else ()
    personal = {row.field: row.value for row in rows if row.record == key and isinstance(row.value, str)}
    return replace(public, payers=payers, attributes={**public.attributes, **personal})


def _move(table: Table, line: NegotiationLine, talks: Talks, negotiation: Negotiation, stands: Stands,
          plan: PlanMade | None = None) -> NegotiationMove:  # fmt: skip
    """The negotiation as the books will have it."""
    wish = table.wish
    state = _STATES[negotiation.state]
    talks = replace(
        talks, nodes=table.nodes, offers=stood(table, stands, negotiation), negotiation=negotiation,
        messages=(*talks.messages, *table.messages),
    )  # fmt: skip
    line = replace(
        line, state=state, due=line.due if state is TalksState.OPEN else "", round=negotiation.round,
        asked=len(table.nodes), answered=table.answered, plan=plan.line.id if plan is not None else "",
    )  # fmt: skip
    request = wish.request
    personal = {name: value for name, value in request.attributes.items() if name in wish.service.personal}
    return NegotiationMove(line, talks, request.payers, personal, plan)


def _next(line: NegotiationLine) -> NegotiationLine:
    return replace(line, n=line.n + 1)


def _now(table: Table, talks: Talks, stands: Stands) -> Negotiation:
    """The negotiation with what stands now."""
    assert talks.negotiation is not None
    return _heard(table, talks.negotiation, stands)


def _heard(table: Table, negotiation: Negotiation, stands: Stands) -> Negotiation:
    return taken_in(negotiation, stands, table.out, table.final)


def _addressed(table: Table, stands: Stands, given: CounterAsked) -> list[Stand]:
    """The offers that a counter-offer is about.

    Raises:
        Refused: UNKNOWN_PART, UNKNOWN_PROVIDER, BAD_INPUT; CONFLICT when nobody there bargains.
    """
    part = _part(table, given.part)
    if given.provider:
        stand = _stand(table, stands, given.provider, part)
        if not stand.open:
            raise refuse(
                RefusalCode.CONFLICT, f"what {given.provider[:60]} asks for it is settled.", field="provider",
                fix="Take its offer, or bargain with another.",
            )  # fmt: skip
        return [stand]
    found = [one for one in stands.found.values() if one.open and one.quoted.offer.part == part]
    if not found:
        raise refuse(RefusalCode.CONFLICT, "nobody bargains about it now.", field="part", fix="Take what is offered.")
    return found


def _part(table: Table, named: str) -> str:
    if named and named not in table.parts:
        raise refuse(
            RefusalCode.UNKNOWN_PART, f"{named[:60]!r} is no part of what is asked for.", field="part",
            fix="One of " + ", ".join(table.parts) + ".",
        )  # fmt: skip
    if not named and len(table.parts) > 1:
        raise refuse(
            RefusalCode.BAD_INPUT, "there are several parts.", field="part", fix="Name one of " + ", ".join(table.parts)
        )
    return named or table.parts[0]


def _stand(table: Table, stands: Stands, provider: str, part: str) -> Stand:
    for stand in stands.found.values():
        if (stand.quoted.offer.provider, stand.quoted.offer.part) == (provider, part):
            return stand
    if provider in table.nodes:
        raise refuse(
            RefusalCode.PLAN_ENDED, f"{provider} has no offer for it that stands now.", field="provider",
            fix="Take the offer of another, or begin anew.",
        )  # fmt: skip
    raise refuse(
        RefusalCode.UNKNOWN_PROVIDER, f"{provider[:60]!r} offers nothing here.", field="provider",
        fix="Name one whose offer is listed.",
    )  # fmt: skip


def _taken(table: Table, talks: Talks, stands: Stands, one: OfferTaken) -> str:
    """The name of an offer that is taken; it must be the one that the user was shown."""
    stand = _stand(table, stands, one.provider, _part(table, one.part))
    shown = next((stood for stood in talks.offers if stood.name == stand.name), None)
    same = shown is not None and shown.offer == stand.quoted.offer.id
    if shown is None or not same or (one.price and _price(one.price) != _price(shown.price)):
        raise refuse(
            RefusalCode.CONFLICT, f"the offer of {one.provider} is another one by now.", field="offers",
            fix="Look at what stands, and take exactly that.",
        )  # fmt: skip
    return stand.name


def _exactly(found: dict[str, CounterOffer], given: CounterAsked, table: Table) -> dict[str, CounterOffer]:
    """Counter-offers with the very amount that the user wrote."""
    part = _part(table, given.part)
    return {name: replace(one, amounts={part: given.amount}) for name, one in found.items()}


def _price(text: str) -> Exact:
    price = Exact.parse(text, field="amount", exponent=False)
    if price.num < 0:
        raise refuse(RefusalCode.BAD_AMOUNT, "is below zero.", field="amount", fix="Write zero or more.")
    return price


def _until(text: str) -> int:
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError:
        at = None
    if text and (at is None or at.tzinfo is None):
        raise refuse(RefusalCode.BAD_TIME, "is no instant.", field="until", fix="Write it as 2026-11-20T12:00:00Z.")
    return millis(text)
