"""Changes while a session runs: another provider, price or quality, payers who come and go (claim S2).

What was used so far is charged on the old terms; what follows counts from here. A change is tried on the session's line
first: one that the payers could not fund is refused before anything has moved.
"""

from __future__ import annotations

from typing import NamedTuple

from apportion.engine.payers import session_account
from apportion.engine.sessions.agreed import Agreed, enter, follow, heir, replaceable, tell
from apportion.engine.sessions.bill import replace, turn
from apportion.engine.sessions.contract import Contract, check_tariffs
from apportion.engine.sessions.covers import sole
from apportion.engine.sessions.grant import guarded, needs
from apportion.engine.sessions.opening import meters_of, resolve
from apportion.engine.sessions.reserving import give_back
from apportion.engine.sessions.row import Row
from apportion.engine.sessions.slice import line_total, owed
from apportion.engine.terms import Terms
from apportion.errors import RefusalCode, refuse
from apportion.model.session import Meter, SessionLine, SessionPayer
from apportion.model.session_asked import Change, PartAsked, SessionAsked
from apportion.model.usage import PayerUse


class Over(NamedTuple):
    """To which plan a session goes over: ``terms`` are those of its catalog, ``before`` the plan it ran by, if any."""

    agreed: Agreed
    terms: Terms
    before: Agreed | None = None


def change(row: Row, given: Change, terms: Terms, over: Over | None = None) -> None:
    """Charge up to now, put the new terms into force, and hold what they need; ``terms`` are those now in force.

    Raises:
        Refused: UNKNOWN_PART, UNKNOWN_PROVIDER, UNKNOWN_PAYER, BAD_INPUT, MARGIN_GUARD; INSUFFICIENT_FUNDS when the
            payers do not have the value for what is granted on the new terms; PLAN_ENDED.
    """
    _alone(row, given)
    if over is not None:
        replaceable(row, over.agreed)
    mark, contract = row.mark(), row.contract
    slice_ = row.due()
    taken = [0] * len(row.line.payers) if slice_ is None else slice_.shares
    if slice_ is not None:
        row.line = slice_.after
    _apply(row, given, terms, over)
    guarded(row, row.line)
    wanted = needs(row, row.line)
    for place, need in enumerate(wanted):
        payer = row.line.payers[place]
        held = 0 if payer.left else row.open(payer) - (taken[place] if place < len(taken) else 0)
        if need > held + row.room(payer):
            raise refuse(
                RefusalCode.INSUFFICIENT_FUNDS,
                "the account does not have the value for what is granted, on the new terms.",
                field="payers",
                fix="Add value to the account, or let the grant run out first.",
            )
        if need > held:
            row.hold(place, need - held)  # payers may draw on the same account
    row.back(mark)
    row.contract = contract
    if over is not None:
        _take_over(row, over, terms)
    row.charge()
    _apply(row, given, terms, over)
    for place, payer in enumerate(row.line.payers):
        if payer.left and payer.holds:
            row.release(place)
    for place, need in enumerate(wanted):
        lack = need - row.open(row.line.payers[place])
        if lack > 0:
            row.hold(place, lack)


def _alone(row: Row, given: Change) -> None:
    """A plan says who delivers at what price: neither is changed beside it.

    Raises:
        Refused: BAD_INPUT.
    """
    named = bool(given.providers or given.attributes or given.reprice)
    if named and row.line.plan or given.plan and (named or given.join or given.leave):
        raise refuse(
            RefusalCode.BAD_INPUT,
            "the session runs by a plan, which says who delivers at what price.",
            field="plan",
            fix="Ask for a plan that replaces this session, and change to it alone.",
        )


def _take_over(row: Row, over: Over, terms: Terms) -> None:
    """Accept the plan in a row of its own, before that of the slice; who was lost has failed."""
    taken = enter(row, over.agreed, terms.catalog, over.terms, over.before)
    lost = [p for p, m in enumerate(row.line.meters) if m.provider in over.agreed.plan.lost and not m.ended]
    n = row.work.append(*taken.lines, *tell(row, lost))
    for key in taken.keys:
        row.work.remember(key, "done", b"", n)


def _apply(row: Row, given: Change, terms: Terms, over: Over | None) -> None:
    """The new terms on the session's line, and nowhere else but for accounts that are opened."""
    if over is not None:
        follow(row, over.agreed, over.terms)
    if given.providers or given.attributes or given.reprice:
        _terms(row, given, terms if given.reprice else row.terms)
    if given.join or given.leave:
        _payers(row, given)


def _terms(row: Row, given: Change, terms: Terms) -> None:
    """Other providers, another quality, other prices."""
    personal = row.contract.terms.personal
    if changing := personal & given.attributes.keys():
        raise refuse(
            RefusalCode.BAD_INPUT,
            "is personal and can not change while the session runs.",
            field=f"attributes.{min(changing)}",
            fix="Open another session.",
        )
    line = turn(row.contract, row.line, retail=bool(given.attributes) or given.reprice)
    attributes = {**line.attributes, **given.attributes}
    asked = SessionAsked(line.service, (PayerUse("somebody"),), tuple(_crew(line, given)), {}, attributes)
    prepared = resolve(terms, line.id, asked, row.work.at)
    tariff = prepared.retail.tariff.id if given.reprice else line.tariff
    check_tariffs([*prepared.deal.pricers, terms.pricer(tariff)])
    fresh = {(meter.part, meter.provider): meter for meter in meters_of(row.work, prepared)[1:]}
    meters: list[Meter] = [line.meters[0]]
    for meter in line.meters[1:]:
        new = None if meter.ended else fresh.pop((meter.part, meter.provider), None)
        if new is None:
            meters.append(replace(meter, ended=True, until="", final=False, silent=False))
        else:
            meters.append(replace(meter, tariff=_repriced(meter, new) if given.reprice else meter.tariff))
    living = {meter.part for meter in line.meters[1:] if not meter.ended}
    meters += [heir(line, meter) for meter in fresh.values() if meter.part in living]
    row.line = replace(line, meters=tuple(meters), attributes=attributes, tariff=tariff, catalog=terms.version)
    row.contract, row.terms = Contract(row.line, terms), terms


def _repriced(meter: Meter, new: Meter) -> str:
    """The tariff that a part has from now on; a rate stays as long as the provider does.

    Raises:
        Refused: ASSET_MISMATCH when the new one is in another currency.
    """
    pairs = [(one.account, one.rate and {one.rate.base, one.rate.quote}) for one in (meter, new)]
    if pairs[0] != pairs[1]:
        raise refuse(
            RefusalCode.ASSET_MISMATCH,
            f"the price of {meter.provider} is in another currency now.",
            field="reprice",
            fix="Open another session.",
        )
    return new.tariff


def _crew(line: SessionLine, given: Change) -> list[PartAsked]:
    """Who delivers which part from now on.

    Raises:
        Refused: UNKNOWN_PART.
    """
    now = [meter for meter in line.meters[1:] if not meter.ended]
    for part in given.providers:
        if part not in {meter.part for meter in now}:
            raise refuse(RefusalCode.UNKNOWN_PART, f"the session has no part {part[:60]!r}.", field="providers")
    found = {(meter.part, given.providers.get(meter.part, meter.provider)): None for meter in now}
    return [PartAsked(part, provider) for part, provider in found]


def _payers(row: Row, given: Change) -> None:
    """Payers who join or leave: shares so far are kept, what follows is shared anew.

    Units that were set aside for the one who paid alone go back, unless it still does.
    """
    line, total = row.line, line_total(row.line)
    shares = owed(row.contract, line, total)
    payers = [
        replace(payer, owed=share.text(), base=payer.used) for payer, share in zip(line.payers, shares, strict=True)
    ]
    for name in given.leave:
        account = row.payer(name)
        place = next((i for i, p in enumerate(payers) if account and p.account == account.public and not p.left), -1)
        if place < 0:
            raise refuse(RefusalCode.UNKNOWN_PAYER, "is no payer of this session.", field="leave")
        payers[place] = replace(payers[place], left=True)
    for use in given.join:
        joining, rate = session_account(row.work, row.terms, use.payer, row.contract.terms)
        pays = use.pays and use.payer not in row.contract.terms.exempt
        known = next((i for i, p in enumerate(payers) if p.account == joining.public), -1)
        if known < 0:
            payers.append(SessionPayer(joining.public, use.weight, pays, rate=rate))
        elif payers[known].left:
            payers[known] = replace(payers[known], left=False, weight=use.weight, pays=pays)
        else:
            raise refuse(RefusalCode.BAD_INPUT, "pays for this session already.", field="join")
    if any(p.pays for p in payers) and not any(p.pays and not p.left for p in payers):
        raise refuse(
            RefusalCode.UNKNOWN_PAYER, "nobody would be left who pays.", field="leave", fix="End the session instead."
        )
    row.line = replace(line, payers=tuple(payers), shared=total)
    if sole(row.line) != sole(line):
        give_back(row)
