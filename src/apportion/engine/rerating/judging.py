"""One booked charge, judged by corrected terms: what it differs by, or why it is left as it is."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec

from apportion.engine.correcting.decision import Standing, Told, book_correction, corrected_id
from apportion.engine.query import Record
from apportion.engine.rerating.fresh import asset_of, correction, fresh_charge
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import NotFound, Refused
from apportion.ledger import proof
from apportion.model.account import Role
from apportion.model.charge import Charge
from apportion.model.correction import CorrectedLine, Why
from apportion.model.ids import read_number
from apportion.model.plan import PLAN
from apportion.money import Asset, Exact, Money
from apportion.ports import Key
from apportion.stages.rate.correct import borne_of, combine

_CORRECTED = msgspec.json.Decoder(CorrectedLine)
_CHARGE = b'{"type":"charge"'


class Left(enum.Enum):
    """Why a charge in the range is left as it is."""

    RIGHT = "right"  # it stands as the corrected terms would have it
    SESSION = "session"  # a slice is what a session came to, less what was charged before
    AGREED = "agreed"  # a plan's price is agreed, so that no catalog changes it
    PERIOD = "period"  # totals of a period count in its price
    GIVEN_BACK = "given_back"  # more was given back already than the corrected price leaves
    DEARER = "dearer"  # a payer would pay more, and only credits are wanted
    REFUSED = "refused"  # the corrected terms have no price for it


class Judged(msgspec.Struct, frozen=True):
    """What became of one charge: ``made`` corrects it, or it is ``left`` as it is, with ``words`` where they help."""

    record: Record
    standing: Charge
    made: Charge | None = None
    left: Left | None = None
    words: str = ""


class Judge:
    """Judges charges on one working set. ``terms`` are the corrected ones, ``version`` finds those of before."""

    def __init__(
        self,
        work: Work,
        terms: Terms,
        version: Callable[[str], Terms],
        names: Callable[[int], str],
        *,
        only_credits: bool,
    ) -> None:
        self._work, self._terms, self._version, self._names = work, terms, version, names
        self._only_credits = only_credits

    def judge(self, record: Record) -> Judged:
        """One charge; nothing is booked."""
        charge = record.charge
        found = self._work.course(corrected_id(charge.id))
        line = _CORRECTED.decode(found) if found else None
        standing = line.standing if line is not None else charge
        simple = simply_left(record)
        if simple is not None:
            return Judged(record, standing, left=simple)
        try:
            before = self._version(charge.catalog)
            fresh = fresh_charge(record.usage, charge, before, self._terms, self._tariff(record))
        except Refused as refused:
            left = Left.PERIOD if refused.refusal.code.value == "period_open" else Left.REFUSED
            return Judged(record, standing, left=left, words=refused.refusal.sentence())
        except NotFound as error:
            return Judged(record, standing, left=Left.REFUSED, words=str(error))
        priced = charge
        for one in priced_before(self._work, charge.id) if line is not None else ():
            priced = combine(priced, one, asset_of(charge))
        made = correction(priced, fresh, self._terms.version)
        if made is None:
            return Judged(record, standing, left=Left.RIGHT)
        return self._bounded(Judged(record, standing, made), priced)

    def _bounded(self, judged: Judged, priced: Charge) -> Judged:
        """Nobody is given back, or gives, more than stands by the price; with ``only_credits`` nobody pays more."""
        record, standing, made = judged.record, judged.standing, judged.made
        assert made is not None
        if self._only_credits and not within_favour(made):
            return Judged(record, standing, left=Left.DEARER)
        if standing is record.charge:
            return judged
        asset = asset_of(standing)
        stands, right = (_parts(combine(one, made, asset), asset) for one in (standing, priced))
        if any(atoms < 0 <= right.get(key, 0) for key, atoms in stands.items()):
            return Judged(record, standing, left=Left.GIVEN_BACK)
        return judged

    def _tariff(self, record: Record) -> str:
        """The retail tariff that the corrected terms have for the first payer; the old one's, of who was forgotten."""
        service = self._terms.service(record.charge.service)
        name = self._names(read_number(record.usage.payers[0].payer))
        if name:
            return service.retail_at(name, datetime.fromisoformat(record.usage.start)).tariff.id
        known = record.charge.tariff in self._terms.catalog.tariffs
        return record.charge.tariff if known else service.service.retail

    def book(self, judged: Judged) -> Charge:
        """Book what was judged to differ; the charge that corrects."""
        work, made, charge = self._work, judged.made, judged.record.charge
        assert made is not None
        if made.sponsored != "0" and not made.sponsor:
            sponsor = self._terms.service(charge.service).sponsor
            made = msgspec.structs.replace(made, sponsor=work.account(Role.SPONSOR, sponsor, asset_of(charge)).public)
        found = work.course(corrected_id(charge.id))
        line = _CORRECTED.decode(found) if found else None
        standing = Standing(judged.standing, asset_of(charge), charge, judged.record.usage, line)
        count = sum(1 for _ in priced_before(work, charge.id)) if line is not None else 0
        told = Told(reference=f"price {count + 1}", why=Why.PRICE.value, cause=self._terms.version)
        book_correction(work, price_key(charge.id, count + 1), b"", standing, made, told)
        return made


def _parts(charge: Charge, asset: Asset) -> dict[tuple[str, str], int]:
    """What each payer bears and each provider earns for a part, in atoms."""
    found = {("", bearer): atoms for bearer, atoms in borne_of(charge, asset).items()}
    for portion in charge.portions:
        key = (portion.part, portion.provider)
        found[key] = found.get(key, 0) + Money.parse(portion.amount, asset).atoms
    return found


def within_favour(made: Charge) -> bool:
    """Whether nobody pays more by a correction."""
    return all(share.amount.startswith("-") for share in made.shares)


def simply_left(record: Record) -> Left | None:
    """Why a charge can not be priced again, as far as it says so itself."""
    if record.usage.source.startswith("ses_"):
        return Left.SESSION
    if record.charge.tariff.startswith(PLAN) or any(p.tariff.startswith(PLAN) for p in record.charge.portions):
        return Left.AGREED
    return Left.PERIOD if record.usage.period else None


def price_key(charge: str, n: int) -> Key:
    """The key of the ``n``-th correction of a charge's price."""
    return proof.record_key("price-correction", f"{charge} {n}")


def priced_before(work: Work, charge: str) -> Iterator[Charge]:
    """The corrections of a charge's price so far, in order."""
    n = 1
    while (seen := work.known(price_key(charge, n))) is not None:
        body = next((body for at, body, _ in work.writes.journal if at == seen.n), b"") or work.row(seen.n)
        line = next(line for line in body.split(b"\n") if line.startswith(_CHARGE))
        yield msgspec.json.decode(line, type=Charge)
        n += 1


def sums_of(charge: Charge) -> Iterator[tuple[tuple[str, str, str], Exact]]:
    """What a charge comes to for everybody: (role, account or name, whose) with the amount."""
    for share in charge.shares:
        yield ("payer", share.bearer, ""), Exact.parse(share.amount)
    for portion in charge.portions:
        yield ("provider", portion.account, portion.provider), Exact.parse(portion.amount)
    yield ("platform", charge.platform_account, ""), Exact.parse(charge.platform)
    for tax in charge.taxes:
        yield ("tax", f"{tax.name}@{tax.rate}", f"{tax.name}@{tax.rate}"), Exact.parse(tax.amount)
    if charge.sponsored != "0":
        yield ("sponsor", charge.sponsor, ""), Exact.parse(charge.sponsored)


__all__ = ["Judge", "Judged", "Left", "price_key", "priced_before", "simply_left", "sums_of", "within_favour"]
