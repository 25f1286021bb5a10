"""A settlement run: one pass over what no settlement covers yet, the advices of it, the payments; in one transaction.

The window is a range of rows: from behind the last settlement to the head of the chain as this turn finds it. So each
portion is in exactly one settlement, whenever it was used and whoever else writes, and a run that is killed has either
done all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from apportion.engine.close import true_up
from apportion.engine.engine import Engine
from apportion.engine.settling.counting import Counted, counted
from apportion.engine.settling.netted import owed_of, transfers, units_of
from apportion.engine.settling.standing import LAST, NUMBER, last_run, last_settlement, settlement_key
from apportion.engine.settling.window import Legs, Moved
from apportion.engine.statements.issuing import Issuing
from apportion.engine.statements.wishes import Wishes
from apportion.engine.terms import Terms
from apportion.engine.unbilled import Party
from apportion.engine.work import Work
from apportion.model.calendar import Period
from apportion.model.ids import key_id, number_id
from apportion.model.settlement import Mode, PositionLine, SettlementLine
from apportion.money import Asset, Money
from apportion.money.exact import decimal_text
from apportion.stages.settle import over_caps
from apportion.stages.statement import ProviderTally, atoms_of
from apportion.stages.statement.downward import minor_of

_POSITION = msgspec.json.Decoder(PositionLine)


class Run(msgspec.Struct, frozen=True):
    """What a run came to: the settlements that stand now, one per currency, and whether they were made by it."""

    settlements: tuple[SettlementLine, ...]
    made: bool


def settle(engine: Engine, mode: Mode, *, since: datetime | None = None, ahead: Counted | None = None) -> Run:
    """Settle all that was booked and that no settlement covers; nothing new leaves everything as it is.

    So does a settlement that was made at ``since`` or later, when that is given. What was counted ``ahead`` is not
    counted again while the writer waits.
    """
    writer = engine.writer

    def made_since() -> bool:
        last = last_settlement(engine) if since is not None else None
        return last is not None and since is not None and datetime.fromisoformat(last.at) >= since

    if _anything(engine) and not made_since():
        writer.booked(lambda work: true_up(work, engine.store))
    made = writer.booked(lambda work: () if made_since() else _Settling(engine, work, mode, ahead).run())
    return Run(made, True) if made else Run(tuple(last_run(engine)), False)


def _anything(engine: Engine) -> bool:
    """Whether the chain holds more than the last settlement saw; a true-up of nothing is not worth a row."""
    last = last_settlement(engine)
    return last is None or engine.store.head(engine.tenant, 0)[0] > last.upto


class _Settling:
    """One run on the working set of its turn."""

    def __init__(self, engine: Engine, work: Work, mode: Mode, ahead: Counted | None) -> None:
        self._engine, self._work, self._mode, self._ahead = engine, work, mode, ahead
        self._store, self._tenant = engine.store, engine.tenant
        self._terms: Terms = engine.terms()
        last = last_settlement(engine)
        self._previous, self._after = (last.id, last.upto) if last is not None else ("", 0)
        self._upto, self._head = work.head[0], work.head[1].hex()
        self._number = int(self._store.fact(self._tenant, NUMBER) or 0)
        self._issuing: Issuing | None = None

    def run(self) -> tuple[SettlementLine, ...]:
        """A settlement for every currency in which anything moved; none when nobody earned or came to owe anything."""
        found = counted(self._engine, self._terms, self._upto, self._ahead)
        unbilled, legs = found.unbilled, found.legs
        if not any(moved.earned for moved in legs.moved.values()):
            return ()
        made: list[SettlementLine] = []
        for number, asset in sorted(self._engine.books.assets.items()):
            mine = [party for party in unbilled.parties.values() if party.account.asset == number]
            mine = [party for party in mine if legs.moved[party.account.public].legs]
            if mine:
                made.append(self._currency(asset, sorted(mine, key=lambda party: party.account.id), legs))
        assert self._issuing is not None
        self._issuing.note_numbers()
        self._work.writes.facts += [(LAST, self._previous), (NUMBER, str(self._number))]
        return tuple(made)

    def _currency(self, asset: Asset, parties: list[Party], legs: Legs) -> SettlementLine:
        key = settlement_key(str(asset), self._head)
        self._number += 1
        id, number = key_id("stl", key), f"SET-{self._number:06}"
        self._issuing = self._issuing_for(id)
        lines = [self._position(party, legs.moved[party.account.public], id, number) for party in parties]
        payable = {
            line.account: (units_of(line.payable), moved.credits, moved.debits)
            for line in lines
            if (moved := legs.moved[line.account]).earned or units_of(line.payable)
        }
        pairs = {pair: atoms for pair, atoms in legs.pairs.items() if pair[0] in payable and pair[1] in payable}
        line = SettlementLine(
            id=id, number=number, at=self._work.at, asset=str(asset), mode=self._mode.value, after=self._after,
            upto=self._upto, head=self._head, providers=len(lines), credited=_sum(lines, "credited", asset.scale),
            payable=_sum(lines, "payable", minor_of(asset)),
            payments=transfers(asset, self._mode, owed_of(asset, payable, pairs)),
            over=self._over(parties, asset), previous=self._previous,
        )  # fmt: skip
        self._previous = id
        encoded = [self._work.move(one) for one in (line, *lines)]
        self._work.record(key, "done", b"", *encoded)
        return line

    def _issuing_for(self, settlement: str) -> Issuing:
        if self._issuing is None:
            wishes = Wishes(self._terms.catalog, self._engine.tenant_name)
            return Issuing(self._engine, wishes, self._work, settlement)
        self._issuing.goes_with(settlement)
        return self._issuing

    def _position(self, party: Party, moved: Moved, settlement: str, number: str) -> PositionLine:
        """Give the account its advice of what no other covers, and say how it stands."""
        asset, start = party.asset, party.last
        tally = ProviderTally(asset)
        spans = sorted((span for span, _ in party.open.values()), key=lambda span: span.start)
        for span in spans:
            other = party.open[span.key][1]
            assert isinstance(other, ProviderTally)
            tally.take(other)
        now = datetime.fromisoformat(self._work.at)
        begun = datetime.fromisoformat(start.end) if start is not None else spans[0].start if spans else now
        assert self._issuing is not None
        if spans or party.loose:
            end = max(now, begun)
            self._issuing.advise(party, tally, Period(number, min(begun, end), end))
        line = position_line(settlement, party, moved, self._work.at)
        assert atoms_of(line.closing, asset) == party.account.posted, f"{line.id} is not what {line.account} has"
        return line

    def _over(self, parties: Iterable[Party], asset: Asset) -> tuple[str, ...]:
        """Whose balance is further below zero than its net debit cap."""
        caps, standing = {}, {}
        for party in parties:
            known = self._terms.catalog.providers.get(party.owner)
            if known is not None and asset.code in known.debit_caps:
                caps[party.account.public] = Money.parse(known.debit_caps[asset.code], asset).atoms
                standing[party.account.public] = party.account.posted
        return tuple(over_caps(standing, caps))


def position_line(settlement: str, party: Party, moved: Moved, at: str) -> PositionLine:
    """How an account stands after the advices of a window, all of which ``party`` has seen."""
    asset, issued = party.asset, party.issued
    assert issued, "all that moved is on an advice"
    credited, paid = (sum(atoms_of(getattr(one, name), asset) for one in issued) for name in ("charges", "payments"))
    assert (credited, paid) == (moved.credited, moved.paid), f"the advices of {party.account.public} are not its legs"
    first, last = issued[0], issued[-1]

    def text(atoms: int) -> str:
        return decimal_text(atoms, asset.scale)

    return PositionLine(
        id=number_id("pos", party.account.id), settlement=settlement, account=party.account.public, at=at,
        opening=first.opening, credits=text(moved.credits), debits=text(moved.debits), obliged=text(moved.obliged),
        credited=text(credited), paid=text(paid), closing=last.closing,
        payable=decimal_text(sum(units_of(one.total) for one in issued), minor_of(asset)),
        residue_in=first.residue_in, residue_out=last.residue_out, advice=last.id, end=last.end,
    )  # fmt: skip


def _sum(lines: Iterable[PositionLine], name: str, digits: int) -> str:
    return decimal_text(sum(units_of(getattr(line, name)) for line in lines), digits)
