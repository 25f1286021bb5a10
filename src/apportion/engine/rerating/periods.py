"""A payer's closed period rated again by corrected terms: what all of its records then come to, with its fees.

What a record costs depends on those before it, so the period is rated as a whole, in the order for ever, twice: by the
terms as it was priced last and by the corrected ones. What the two differ by is one charge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from apportion.engine.close import closing_order, differences_of, usage_of
from apportion.engine.query import Record
from apportion.engine.rating import Given, Prepared, prepare
from apportion.engine.rerating.fresh import LABEL, asset_of, check_kept, delivered
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.ledger.chart import account_key
from apportion.model.account import Account, Role
from apportion.model.charge import Charge, Portion, PriceLine, Share, TaxLine
from apportion.model.correction import RepricedLine
from apportion.model.ids import read_number
from apportion.money import Asset, Exact, Money
from apportion.money.exact import decimal_text
from apportion.ports import Key

ORIGIN = "rerate "


class Basis(msgspec.Struct, frozen=True):
    """By which terms a service of a period is priced: a catalog, and by what retail tariff instead of that booked."""

    terms: Terms
    tariffs: dict[str, str]


class Scratch(Work):
    """Running totals that nobody keeps, on accounts that are found but never opened."""

    def __init__(self, find: Callable[[str], Account | None], numbered: Callable[[int], Account]) -> None:
        self._find, self._numbered = find, numbered
        self._sums: dict[tuple[int, str], Exact] = {}

    def numbered(self, number: int) -> Account:
        """An account of the books."""
        return self._numbered(number)

    def keyed(self, key: str) -> Account | None:
        """An account by its chart key."""
        return self._find(key)

    def account(self, role: Role, owner: str, asset: Asset) -> Account:
        """An account of the chart, or one without an id where it is not opened yet."""
        return self._find(account_key(role, owner, str(asset))) or Account(0, "", role, 0)

    def total(self, account: int, key: str) -> Exact:
        """A running total."""
        return self._sums.get((account, key), Exact(0))

    def set_total(self, account: int, key: str, value: Exact) -> None:
        """Move a running total."""
        self._sums[account, key] = value.reduced()

    def restart(self) -> None:
        """Forget all running totals."""
        self._sums.clear()

    def clear_total(self, account: int, key: str) -> None:
        """Start a running total again."""
        self._sums[account, key] = Exact(0)


def period_key(period: str, payer: str, service: str, n: int) -> Key:
    """The key of the ``n``-th correction of a service's prices in a payer's period; 0 is what they have in common."""
    return proof.record_key("period-price", f"{period}\x00{payer}\x00{service}\x00{n}")


def repriced_id(period: str, payer: str, service: str) -> str:
    """The id under which the books keep by which terms a period was priced last."""
    return f"rep_{period_key(period, payer, service, 0).hex()}"


def period_correction(
    scratch: Scratch,
    records: Sequence[Record],
    service: str,
    bases: tuple[Basis | None, Basis],
    own: Callable[[str], Terms],
) -> tuple[Charge, Charge, Charge | None]:
    """What a service of a period came to beside its charges, what it comes to now, and what makes the one the other.

    ``records`` are all that count in the payer's period, of whatever service; ``bases`` are by what the service was
    priced last (None: as booked), and by what it is priced now; ``own`` finds the terms that a record was booked by.
    The last is None when nothing differs; it has neither id nor time.

    Raises:
        Refused: what the terms refuse.
    """
    before, now = bases
    was = _adjustment(scratch, records, service, before, own)
    fresh = _adjustment(scratch, records, service, now, own)
    made = added([(1, fresh), (-1, was)])
    texts = [made.amount, made.total, made.platform, made.tax, made.sponsored, *(s.amount for s in made.shares)]
    texts += [portion.amount for portion in made.portions] + [tax.base for tax in made.taxes]
    if not any(text.strip("-0.") for text in texts):
        return was, fresh, None
    line = PriceLine(LABEL, "", "", "", made.exact, f"{len(records)} uses rated again")
    period = records[0].usage.period
    return (
        was,
        fresh,
        msgspec.structs.replace(
            made, tariff=fresh.tariff, catalog=now.terms.version, rule=fresh.rule, lines=(line,), origin=ORIGIN + period
        ),
    )


def _adjustment(
    scratch: Scratch, records: Sequence[Record], service: str, basis: Basis | None, own: Callable[[str], Terms]
) -> Charge:
    """What a service of the period differs by from its charges as they were booked."""
    usage = records[0].usage
    account = scratch.numbered(read_number(usage.payers[0].payer))
    scratch.restart()
    ordered = sorted(records, key=lambda record: closing_order(record.usage))
    pairs = [
        (record, _prepared(record, own(record.charge.catalog)))
        if basis is None or record.charge.service != service
        else _by(record, basis, own)
        for record in ordered
    ]
    found = differences_of(scratch, account, usage.period, pairs)
    return added([(1, one.charge("", usage.period, "")) for (name, _), one in found if name == service])


def _prepared(record: Record, terms: Terms) -> Prepared:
    return prepare(usage_of(record), terms, Given.of(record.charge, record.usage.period))


def _by(record: Record, basis: Basis, own: Callable[[str], Terms]) -> tuple[Record, Prepared]:
    """A record by other terms than those that it was booked by; all of a service's go together."""
    charge, usage, terms = record.charge, record.usage, basis.terms
    tariff = basis.tariffs.get(charge.tariff, charge.tariff)
    prepared = prepare(delivered(usage, charge), terms, Given(tariff, usage.period, charge.allowances, charge.held))
    if prepared.terms.asset != asset_of(charge):
        raise refuse(RefusalCode.ASSET_MISMATCH, f"it was charged in {charge.currency}.", field="currency")
    check_kept(usage, charge, own(charge.catalog), prepared)
    together = msgspec.structs.replace(charge, catalog=terms.version)
    return msgspec.structs.replace(record, charge=together), prepared


def added(parts: Sequence[tuple[int, Charge]]) -> Charge:
    """The sum of adjustments, each counted with its sign; what comes to nothing is left out."""
    first = parts[0][1]
    asset = asset_of(first)
    shares: dict[str, int] = {}
    portions: dict[tuple[str, str, str], int] = {}
    taxes: dict[tuple[str, str], tuple[int, int]] = {}
    sums = dict.fromkeys(("amount", "total", "platform", "tax", "sponsored"), 0)
    exact = Exact(0)
    for sign, one in parts:
        exact = exact + Exact.parse(one.exact) * Exact(sign)
        for name in sums:
            sums[name] += sign * _atoms(getattr(one, name), asset)
        for share in one.shares:
            shares[share.account] = shares.get(share.account, 0) + sign * _atoms(share.amount, asset)
        for p in one.portions:
            place = (p.part, p.provider, p.account)
            portions[place] = portions.get(place, 0) + sign * _atoms(p.amount, asset)
        for line in one.taxes:
            base, tax = taxes.get((line.name, line.rate), (0, 0))
            moved = sign * _atoms(line.base, asset), sign * _atoms(line.amount, asset)
            taxes[line.name, line.rate] = base + moved[0], tax + moved[1]

    def text(atoms: int) -> str:
        return decimal_text(atoms, asset.scale)

    return msgspec.structs.replace(
        first,
        exact=exact.reduced().text(),
        **{name: text(sums[name]) for name in ("amount", "total", "platform")},
        **{name: text(sums[name]) if sums[name] else "0" for name in ("tax", "sponsored")},
        sponsor=next((one.sponsor for _, one in parts if one.sponsor), "") if sums["sponsored"] else "",
        lines=(),
        portions=tuple(Portion(*place, "", text(atoms)) for place, atoms in sorted(portions.items()) if atoms),
        shares=tuple(Share(account, text(atoms)) for account, atoms in sorted(shares.items()) if atoms),
        taxes=tuple(
            TaxLine(*name, text(base), text(tax)) for name, (base, tax) in sorted(taxes.items()) if base or tax
        ),
        origin="",
    )


def _atoms(text: str, asset: Asset) -> int:
    return Money.parse(text, asset).atoms


def basis_of(line: RepricedLine, version: Callable[[str], Terms]) -> Basis:
    """By what a period was priced last."""
    return Basis(version(line.catalog), line.tariffs)
