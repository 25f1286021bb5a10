"""Funding: which accounts a payer's share is drawn from, on the working set of one group.

One cascade for live sessions and for usage records: buckets, the payer's own value, what its funding names, in order
and within its caps, then its credit line. Nothing is moved here; who draws books or holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from apportion.engine.work import Work
from apportion.errors import Refused
from apportion.ledger.chart import may_draw
from apportion.model.account import Account
from apportion.model.funding import AllowanceLine, BucketLine, CapLine, FundingLine, Source
from apportion.model.ids import number_id, read_number
from apportion.money import Money
from apportion.money.exact import decimal_text
from apportion.stages.credit.funding import bucket_order, cap_period, cascade, drawable, own_rooms

PREPAID, BUCKET, ALLOWANCE, ALTERNATE, CREDIT = "prepaid", "bucket", "allowance", "alternate", "credit"
_FUNDING = msgspec.json.Decoder(FundingLine)
_CAP = msgspec.json.Decoder(CapLine)
_STOCK: msgspec.json.Decoder[BucketLine | AllowanceLine] = msgspec.json.Decoder(BucketLine | AllowanceLine)


class Draw(NamedTuple):
    """``atoms`` from ``account``; ``source`` is prepaid, bucket, allowance, alternate or credit.

    ``period`` is that of the cap which it counts against, empty without one: who draws now and gives back later keeps
    it, so that a new period is not credited with what the last one reserved.
    """

    account: Account
    atoms: int
    source: str
    period: str = ""


class Purse:
    """Everything that one payer may draw on now.

    ``service`` opens the buckets that are for it alone; ``taken`` are atoms by account number that were drawn for the
    same record before but not booked yet.
    """

    def __init__(self, work: Work, payer: Account, service: str = "", taken: dict[int, int] | None = None) -> None:
        self.work, self.payer, self.service = work, payer, service
        self._taken = taken if taken is not None else {}
        self._line = funding_of(work, payer.id)

    def available(self) -> int:
        """Atoms of all sources together; never below zero."""
        if self._line is None:
            return max(0, self.payer.available() - self._taken.get(self.payer.id, 0))
        return sum(max(0, well.atoms) for well in self._wells(self._line))

    def draw(self, atoms: int) -> list[Draw]:
        """From where so many atoms come, in order; what is given back (below zero) goes to the payer's own account.

        Raises:
            Refused: INSUFFICIENT_FUNDS, when all sources together have less.
        """
        if self._line is not None and atoms > 0:
            wells = self._wells(self._line)
            given = cascade(atoms, [well.atoms for well in wells])
            if given is not None:
                return [well._replace(atoms=part) for well, part in zip(wells, given, strict=True) if part]
            atoms += sum(max(0, well.atoms) for well in wells)  # to be refused whatever the account alone has
        short = may_draw(self.payer, atoms + self._taken.get(self.payer.id, 0)) if atoms > 0 else None
        if short is not None:
            raise Refused(short)
        return [Draw(self.payer, atoms, PREPAID)] if atoms else []

    def _wells(self, line: FundingLine) -> list[Draw]:
        """All sources in order, each with as many atoms as it has."""
        work, payer, at = self.work, self.payer, self.work.at
        buckets = [one for one in stocks(work, line.buckets) if isinstance(one, BucketLine)]
        wells = []
        for bucket in sorted(buckets, key=bucket_order):
            if drawable(bucket, self.service, at):
                account = work.numbered(read_number(bucket.id))
                wells.append(Draw(account, self._free(account), BUCKET))
        value, credit = own_rooms(self._free(payer), payer.credit or 0)
        wells.append(Draw(payer, value, PREPAID))
        for source in line.sources:
            account = work.numbered(read_number(source.account))
            room, period = self._free(account) + (account.credit or 0), ""
            if source.cap:
                cap = self._cap(line, source)
                room = min(room, _atoms(work, payer, source.cap) - _atoms(work, payer, cap.drawn))
                period = cap.period
            wells.append(Draw(account, room, ALTERNATE, period))
        wells.append(Draw(payer, credit, CREDIT))
        return wells

    def _free(self, account: Account) -> int:
        return account.posted - account.held - self._taken.get(account.id, 0)

    def reserve(self, draws: list[Draw]) -> None:
        """Count draws against the caps of their sources; at the latest when they are booked or held.

        The caps' lines are appended to the books here, before whatever the caller appends next.
        """
        for line in self.counted(draws):
            self.work.append(line)

    def restore(self, draws: list[Draw]) -> None:
        """Give back to the caps what was reserved and not drawn after all; that of an earlier period is gone."""
        for line in self.counted([draw._replace(atoms=-draw.atoms) for draw in draws]):
            self.work.append(line)

    def counted(self, draws: Iterable[Draw]) -> list[bytes]:
        """The lines that count draws against the caps of their sources, for the caller to append."""
        lines: list[bytes] = []
        for draw in draws:
            source = self._capped(draw)
            if source is None or not draw.atoms:
                continue
            assert self._line is not None
            cap = self._cap(self._line, source)
            if draw.atoms < 0 and draw.period not in ("", cap.period):
                continue
            asset = self.work.asset_of(self.payer)
            drawn = max(0, _atoms(self.work, self.payer, cap.drawn) + draw.atoms)
            line = msgspec.structs.replace(cap, at=self.work.at, drawn=decimal_text(drawn, asset.scale))
            lines.append(self.work.move(line))
        return lines

    def _capped(self, draw: Draw) -> Source | None:
        """The source that a draw came from, when a cap bounds it; the account tells, whatever the draw calls it."""
        if self._line is None:
            return None
        return next((s for s in self._line.sources if s.account == draw.account.public and s.cap), None)

    def _cap(self, line: FundingLine, source: Source) -> CapLine:
        """How much of a cap is used up in the period of now."""
        work, payer = self.work, self.payer
        period = cap_period(source.per, work.at, line.zone)
        id = cap_id(source.account, payer.public)
        stored = work.course(id)
        known = _CAP.decode(stored) if stored else None
        if known is not None and known.period == period:
            return known
        return CapLine(id=id, account=source.account, member=payer.public, at=work.at, period=period, drawn="0")


def funding_of(work: Work, number: int) -> FundingLine | None:
    """From where the payer's account of this number is drawn besides itself; None when there is nothing."""
    names = work.names
    if not names.funded:
        return None
    if number not in names.funding:
        line = work.course(number_id("fund", number))
        names.funding[number] = _FUNDING.decode(line) if line else None
    return names.funding[number]


def move_funding(work: Work, line: FundingLine) -> bytes:
    """Note how a payer is funded from now on; the caller appends what comes back."""
    names = work.names
    names.funding[read_number(line.account)] = line
    if not names.funded:
        names.funded = True
        work.writes.facts.append(("funding", "1"))
    return work.move(line)


def stocks(work: Work, ids: Sequence[str]) -> Iterator[BucketLine | AllowanceLine]:
    """Buckets or allowances as they stand."""
    for id in ids:
        yield stock_of(work.course(id))


def stock_of(line: bytes) -> BucketLine | AllowanceLine:
    """A bucket or allowance as its line says."""
    return _STOCK.decode(line)


def foresee(work: Work, payers: Sequence[int]) -> list[int]:
    """Read at once what a group may draw on: the numbers of the accounts that it may touch besides the payers'."""
    names = work.names
    if not names.funded:
        return []
    work.foresee([number_id("fund", number) for number in payers if number not in names.funding])
    accounts: list[int] = []
    wanted: list[str] = []
    for number in payers:
        line = funding_of(work, number)
        if line is not None:
            wanted += [*line.buckets, *line.allowances]
            wanted += [cap_id(source.account, line.account) for source in line.sources if source.cap]
            accounts += [read_number(name) for name in (*line.buckets, *line.allowances)]
            accounts += [read_number(source.account) for source in line.sources]
    work.foresee(wanted)
    return accounts


def cap_id(account: str, member: str) -> str:
    """The id of what counts a member's draws on an account."""
    return f"cap_{account.partition('_')[2]}.{member.partition('_')[2]}"


def _atoms(work: Work, account: Account, text: str) -> int:
    return Money.parse(text, work.asset_of(account)).atoms
