"""Composing: tallies become documents; the total is rounded once and handed down to every statement and line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from apportion.model.statement import (
    Converted,
    CreditNote,
    Due,
    Item,
    Measured,
    Received,
    Remittance,
    Seal,
    Section,
    Statement,
    TaxSum,
    TookPart,
)
from apportion.money import GRID, Asset, Exact
from apportion.money.exact import decimal_text
from apportion.stages.statement.downward import HUNDRED, hand_down, minor_of, nearest, state, tax_within
from apportion.stages.statement.exchanged import exchanged_words
from apportion.stages.statement.tally import ItemKey, ItemSum, PayerTally, ProviderTally
from apportion.stages.statement.told import Category
from apportion.stages.statement.words import plain, sentence


class Heading(msgspec.Struct, frozen=True):
    """What stands above a document: its names and numbers, its period, and what the document before it left.

    ``before`` = the closing balance and the residue out of the last document of this account, in atoms. ``besides``
    are further fields of the document, such as ``provider`` or ``session``; with ``corrects`` it is a credit note.
    """

    id: str
    number: str
    account: str
    party: str
    name: str
    issuer: str
    period: str
    start: str
    end: str
    zone: str
    at: str
    seal: Seal
    besides: dict[str, Any] = {}
    before: tuple[int, int] = (0, 0)


class Stated(msgspec.Struct, frozen=True):
    """A composed statement, and by how many atoms its tax differs from the booked legs, per category."""

    statement: Statement
    tax_moved: tuple[tuple[Category, int], ...] = ()


class HandedDown(msgspec.Struct):
    """What of a total one statement has: its ``charges`` in atoms, net and tax of each line, and sums by category."""

    charges: int = 0
    nets: dict[ItemKey, int] = {}
    taxes: dict[ItemKey, int] = {}
    sums: list[TaxSum] = []

    @property
    def total(self) -> int:
        """In minor units."""
        return sum(self.nets.values()) + sum(self.taxes.values())


def faces_of(tally: PayerTally) -> list[str]:
    """Whose statements a tally makes: the platform's ("") first, then those of providers; one at least."""
    return sorted({key.face for key in tally.items}) or [""]


def _hand_down(
    tally: PayerTally, total: int, minor: int, grain: int
) -> tuple[dict[str, HandedDown], list[tuple[Category, int]]]:
    """The total goes to tax categories, each category's part and its tax to statements, and these to their lines.

    Also the atoms by which the tax of each category differs from what was booked.
    """
    found: dict[str, HandedDown] = {}
    moved = []
    keys = sorted(tally.categories)
    grosses = hand_down(total, [tally.categories[key].gross for key in keys], ["@".join(key) for key in keys], grain)
    for category, gross in zip(keys, grosses, strict=True):
        booked = tally.categories[category]
        tax = tax_within(gross, Exact.parse(category[1])) if category[0] else 0
        mine = [key for key in tally.items if key.category == category]
        if (gross or booked.gross) and not mine:
            mine = [ItemKey("", "", "", "Rounding", "", category)]
            tally.items[mine[0]] = ItemSum(1)
        _to_faces(tally, (mine, category), (gross, tax), (minor, grain), found)
        if category[0] and tax * grain != booked.tax:
            moved.append((category, tax * grain - booked.tax))
    assert sum(down.total for down in found.values()) == total, "lines = statements = total"
    assert sum(down.charges for down in found.values()) == tally.charges, "several = single"
    return found, moved


def _to_faces(
    tally: PayerTally,
    whose: tuple[list[ItemKey], Category],
    amounts: tuple[int, int],
    units: tuple[int, int],
    found: dict[str, HandedDown],
) -> None:
    """Hand a category's total and tax, in minor units, down to statements, and there to lines."""
    (mine, category), (gross, tax), (minor, grain) = whose, amounts, units
    by: dict[str, list[ItemKey]] = {}
    for key in sorted(mine):
        by.setdefault(key.face, []).append(key)
    names = sorted(by)
    weights = [sum(tally.items[key].weight for key in by[name]) for name in names]
    atoms = hand_down(tally.categories[category].gross, weights, names, GRID)
    rate = Exact.parse(category[1] or "0")
    parts = hand_down(gross, atoms, names, grain)
    taxes = hand_down(tax, [part * rate.num for part in parts], names, rate.num + HUNDRED * rate.den)
    for name, charged, part, taxed in zip(names, atoms, parts, taxes, strict=True):
        down, lines = found.setdefault(name, HandedDown()), by[name]
        weights, ties = [tally.items[key].weight for key in lines], [key.name for key in lines]
        down.charges += charged
        down.nets |= dict(zip(lines, hand_down(part - taxed, weights, ties, grain * GRID), strict=True))
        taxing = [weight * rate.num for weight in weights]  # weights are net: each bears its rate of them
        whole = grain * GRID * HUNDRED * rate.den
        down.taxes |= dict(zip(lines, hand_down(taxed, taxing, ties, whole), strict=True))
        down.sums.append(TaxSum(*category, decimal_text(part - taxed, minor), decimal_text(taxed, minor)))


def compose_statement(heading: Heading, tally: PayerTally) -> Stated:
    """What one payer is asked for on one statement. Pure; the same tally gives the same statement."""
    return compose_statements(lambda face: heading, tally)[0]


def compose_statements(heading: Callable[[str], Heading], tally: PayerTally) -> list[Stated]:
    """The statements that a tally makes: one, or one for each of ``faces_of`` when it is split; in that order.

    ``heading`` says what stands above each; what the one before left goes to the next. All of them together say what
    one would: the same total, and the same of each tax category. What is due is shared out by their totals.
    """
    asset = tally.asset
    opening, residue = heading(faces_of(tally)[0]).before
    minor = minor_of(asset)
    grain = 10 ** (asset.scale - minor)
    total, carried = state(tally.charges, residue, grain)
    down, moved = _hand_down(tally, total, minor, grain)
    faces = faces_of(tally)
    payments = sum(_atoms(received.amount, asset) for received in tally.received)
    due = max(nearest(-(opening + payments - tally.charges + carried), grain), 0)
    parts = [down.get(face) or HandedDown() for face in faces]
    dues = hand_down(due, [max(part.total, 0) for part in parts], faces, 1)
    found = []
    for place, (face, part) in enumerate(zip(faces, parts, strict=True)):
        first, last = not place, place == len(faces) - 1
        account = _Account(opening, payments if first else 0, part.charges, residue, part.total)
        made = _statement(heading(face), tally, part, account, dues[place], first=first)
        found.append(Stated(made, tuple(moved) if last else ()))
        opening, residue = account.closing, account.carried(grain)
    assert residue == carried, "several = single"
    return found


class _Account(msgspec.Struct, frozen=True):
    """An account's way through one statement, in atoms; ``total`` in minor units."""

    opening: int
    payments: int
    charges: int
    residue: int
    total: int

    @property
    def closing(self) -> int:
        return self.opening + self.payments - self.charges

    def carried(self, grain: int) -> int:
        """What rounding leaves for the next one."""
        return self.charges + self.residue - self.total * grain


def _statement(
    heading: Heading, tally: PayerTally, down: HandedDown, account: _Account, due: int, *, first: bool
) -> Statement:
    asset = tally.asset
    minor = minor_of(asset)
    carried = account.carried(10 ** (asset.scale - minor))
    kind = CreditNote if "corrects" in heading.besides else Statement
    return kind(
        **_common(heading, asset),
        brought=_shown(account.opening + account.residue, asset, minor),
        received=_received(tally, minor) if first else (),
        payments=_shown(account.payments, asset, minor),
        net=decimal_text(sum(down.nets.values()), minor),
        tax=decimal_text(sum(down.taxes.values()), minor),
        total=decimal_text(account.total, minor),
        balance=_shown(account.closing + carried, asset, minor),
        due=decimal_text(due, minor),
        sections=_sections(tally, down, minor),
        taxes=tuple(down.sums),
        charges=decimal_text(account.charges, asset.scale),
        opening=decimal_text(account.opening, asset.scale),
        closing=decimal_text(account.closing, asset.scale),
        residue_in=decimal_text(account.residue, asset.scale),
        residue_out=decimal_text(carried, asset.scale),
        invented=tally.invented,
        attribution=tally.attribution,
        conversions=_conversions(tally) if first else (),
    )


def _conversions(tally: PayerTally) -> tuple[Converted, ...]:
    """What was charged in other currencies, rate by rate in the order of time; with the first of several statements."""
    found = sorted(tally.exchanged.items(), key=lambda one: (one[0].currency, one[0].at, one[0]))
    return tuple(
        Converted(o.currency, amount.text(), o.rate, o.base, o.source, o.at, decimal_text(atoms, tally.asset.scale))
        for o, (amount, atoms) in found
    )


def _common(heading: Heading, asset: Asset) -> dict[str, Any]:
    """What both kinds of documents say at their heads."""
    fields = msgspec.structs.asdict(heading)
    del fields["before"]
    besides: dict[str, Any] = fields.pop("besides")
    fields |= besides | {"currency": asset.code}
    return fields


def _received(tally: PayerTally, minor: int) -> tuple[Received, ...]:
    return tuple(
        msgspec.structs.replace(received, amount=_shown(_atoms(received.amount, tally.asset), tally.asset, minor))
        for received in tally.received
    )


def _sections(tally: PayerTally, down: HandedDown, minor: int) -> tuple[Section, ...]:
    """One section a service, the payer's own before those of others whose use is on its statement."""
    faces = {key.face for key in down.nets}
    whose = {key[1:3] for key in down.nets} | {key[1:] for key in tally.services if not faces or key[0] in faces}
    face = next(iter(faces), "")
    sections = []
    for account, service in sorted(whose):
        keys = sorted(
            (key for key in down.nets if key[1:3] == (account, service)),
            key=lambda key: (-abs(tally.items[key].weight), key),
        )
        items = tuple(
            _item(key, tally.items[key], (down.nets[key], down.taxes[key]), minor, tally.asset) for key in keys
        )
        total = decimal_text(sum(down.nets[key] + down.taxes[key] for key in keys), minor)
        known = tally.services.get((face, account, service))
        if known is None:
            sections.append(Section("", "Adjustments", 0, 0, total, (), items, account))
            continue
        took = sorted(known.took.items(), key=lambda entry: (entry[0][0], -entry[1], entry[0][1]))
        providers = tuple(
            TookPart(part, who, known.names[who][0], uses, *known.names[who][1:]) for (part, who), uses in took
        )
        sections.append(
            Section(service, known.name, known.uses, known.free, total, providers, items, account, late=known.late)
        )
    return tuple(sections)


def _item(key: ItemKey, found: ItemSum, amounts: tuple[int, int], minor: int, asset: Asset) -> Item:
    (name, rate), (net, tax) = key.category, amounts
    return Item(
        key.label,
        found.uses,
        decimal_text(net, minor),
        decimal_text(tax, minor),
        decimal_text(net + tax, minor),
        found.quantity.text() if key.unit else "",
        key.unit,
        next(iter(found.prices)) if len(found.prices) == 1 else "",
        f"{name} {rate} %" if name else "",
        found.shared,
        exchanged_words(found.origins, asset),
    )


def compose_remittance(
    heading: Heading, tally: ProviderTally, *, made_up: bool = False, settlement: str = ""
) -> Remittance:
    """What one provider is told it earned; payable is rounded once and handed down to services and parts."""
    asset, (opening, residue) = tally.asset, heading.before
    minor = minor_of(asset)
    grain = 10 ** (asset.scale - minor)
    total, carried = state(tally.credited, residue, grain)
    keys = sorted(tally.dues, key=lambda key: (not key[0], key))
    payable = hand_down(total, [tally.dues[key].credited for key in keys], ["/".join(key) for key in keys], grain)
    assert sum(payable) == total, "lines = remittance"
    dues, exact = [], Exact(0)
    for key, paid in zip(keys, payable, strict=True):
        due = tally.dues[key]
        owed = due.due(asset.unit)
        exact = (exact + owed).reduced()
        measured = tuple(Measured(label, q.text(), unit) for (label, unit), q in sorted(due.quantities.items()))
        credited = decimal_text(due.credited, asset.scale)
        part = sentence(plain(key[1]))
        dues.append(Due(key[0], part, due.label, due.uses, owed.text(), credited, decimal_text(paid, minor), measured))
    return Remittance(
        **_common(heading, asset),
        dues=tuple(dues),
        exact=exact.text(),
        credited=decimal_text(tally.credited, asset.scale),
        total=decimal_text(total, minor),
        opening=decimal_text(opening, asset.scale),
        closing=decimal_text(opening + tally.credited - tally.paid, asset.scale),
        residue_in=decimal_text(residue, asset.scale),
        residue_out=decimal_text(carried, asset.scale),
        made_up=made_up,
        invented=tally.invented,
        attribution=tally.attribution,
        paid=decimal_text(tally.paid, asset.scale) if tally.paid else "",
        settlement=settlement,
    )


def _atoms(text: str, asset: Asset) -> int:
    plain_number = Exact.parse(text)
    return plain_number.num * asset.unit // plain_number.den


def _shown(atoms: int, asset: Asset, minor: int) -> str:
    """Atoms as decimal text with all that is not zero, but never fewer decimals than the minor unit."""
    text = decimal_text(atoms, asset.scale)
    whole, point, part = text.partition(".")
    return whole + point + part.rstrip("0").ljust(minor, "0") if point and (minor or part.strip("0")) else whole
