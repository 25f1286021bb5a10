"""Composing: tallies become documents; the total is rounded once and handed down to every line."""

from __future__ import annotations

from typing import Any

import msgspec

from apportion.model.statement import (
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
from apportion.stages.statement.downward import hand_down, minor_of, nearest, state, tax_within
from apportion.stages.statement.tally import Category, ItemSum, PayerTally, ProviderTally
from apportion.stages.statement.words import plain, sentence

Key = tuple[str, str, str, Category]


class Heading(msgspec.Struct, frozen=True):
    """What stands above a document: its names and numbers, its period, and what the document before it left.

    ``before`` = the closing balance and the residue out of the last document of this account, in atoms.
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
    before: tuple[int, int] = (0, 0)


class Stated(msgspec.Struct, frozen=True):
    """A composed statement, and by how many atoms its tax differs from the booked legs, per category."""

    statement: Statement
    tax_moved: tuple[tuple[Category, int], ...]


class HandedDown(msgspec.Struct):
    """A total in minor units, handed down to tax categories and lines: net and tax of each line, sums by category."""

    nets: dict[Key, int] = {}
    taxes: dict[Key, int] = {}
    sums: list[TaxSum] = []
    moved: list[tuple[Category, int]] = []


def _hand_down(tally: PayerTally, total: int, minor: int, grain: int) -> HandedDown:
    """The total goes to tax categories; each category's tax is computed on it; both go to the category's lines."""
    down = HandedDown()
    keys = sorted(tally.categories)
    grosses = hand_down(total, [tally.categories[key].gross for key in keys], ["@".join(key) for key in keys], grain)
    for category, gross in zip(keys, grosses, strict=True):
        tax = tax_within(gross, Exact.parse(category[1])) if category[0] else 0
        mine = sorted(key for key in tally.items if key[3] == category)
        if gross and not mine:
            mine = [("", "Rounding", "", category)]
            tally.items[mine[0]] = ItemSum(1)
        weights, names = [tally.items[key].weight for key in mine], ["\x00".join(key[:3]) for key in mine]
        down.nets |= dict(zip(mine, hand_down(gross - tax, weights, names, grain * GRID), strict=True))
        down.taxes |= dict(zip(mine, hand_down(tax, weights, names, grain * GRID), strict=True))
        down.sums.append(TaxSum(*category, decimal_text(gross - tax, minor), decimal_text(tax, minor)))
        if category[0] and tax * grain != tally.categories[category].tax:
            down.moved.append((category, tax * grain - tally.categories[category].tax))
    assert sum(down.nets.values()) + sum(down.taxes.values()) == total, "lines = statement"
    return down


def compose_statement(heading: Heading, tally: PayerTally) -> Stated:
    """What one payer is asked for. Pure; the same tally gives the same statement."""
    asset, (opening, residue) = tally.asset, heading.before
    minor = minor_of(asset)
    grain = 10 ** (asset.scale - minor)
    total, carried = state(tally.charges, residue, grain)
    down = _hand_down(tally, total, minor, grain)
    payments = sum(_atoms(received.amount, asset) for received in tally.received)
    closing = opening + payments - tally.charges
    balance = closing + carried
    statement = Statement(
        **_common(heading, asset),
        brought=_shown(opening + residue, asset, minor),
        received=_received(tally, minor),
        payments=_shown(payments, asset, minor),
        net=decimal_text(sum(down.nets.values()), minor),
        tax=decimal_text(sum(down.taxes.values()), minor),
        total=decimal_text(total, minor),
        balance=_shown(balance, asset, minor),
        due=decimal_text(max(nearest(-balance, grain), 0), minor),
        sections=_sections(tally, down.nets, down.taxes, minor),
        taxes=tuple(down.sums),
        charges=decimal_text(tally.charges, asset.scale),
        opening=decimal_text(opening, asset.scale),
        closing=decimal_text(closing, asset.scale),
        residue_in=decimal_text(residue, asset.scale),
        residue_out=decimal_text(carried, asset.scale),
        invented=tally.invented,
        attribution=tally.attribution,
    )
    return Stated(statement, tuple(down.moved))


def _common(heading: Heading, asset: Asset) -> dict[str, Any]:
    """What both kinds of documents say at their heads."""
    fields = msgspec.structs.asdict(heading)
    del fields["before"]
    return fields | {"currency": asset.code}


def _received(tally: PayerTally, minor: int) -> tuple[Received, ...]:
    return tuple(
        msgspec.structs.replace(received, amount=_shown(_atoms(received.amount, tally.asset), tally.asset, minor))
        for received in tally.received
    )


def _sections(tally: PayerTally, nets: dict[Key, int], taxes: dict[Key, int], minor: int) -> tuple[Section, ...]:
    sections = []
    for service in sorted({*tally.services, *(key[0] for key in tally.items)}):
        keys = sorted((k for k in tally.items if k[0] == service), key=lambda k: (-abs(tally.items[k].weight), k))
        items = tuple(_item(key, tally.items[key], (nets[key], taxes[key]), minor) for key in keys)
        total = decimal_text(sum(nets[key] + taxes[key] for key in keys), minor)
        known = tally.services.get(service)
        if known is None:
            sections.append(Section("", "Adjustments", 0, 0, total, (), items))
            continue
        took = sorted(known.took.items(), key=lambda entry: (entry[0][0], -entry[1], entry[0][1]))
        providers = tuple(
            TookPart(part, who, known.names[who][0], uses, known.names[who][1]) for (part, who), uses in took
        )
        sections.append(Section(service, known.name, known.uses, known.free, total, providers, items))
    return tuple(sections)


def _item(key: Key, found: ItemSum, amounts: tuple[int, int], minor: int) -> Item:
    _, label, unit, (name, rate) = key
    net, tax = amounts
    return Item(
        label,
        found.uses,
        decimal_text(net, minor),
        decimal_text(tax, minor),
        decimal_text(net + tax, minor),
        found.quantity.text() if unit else "",
        unit,
        next(iter(found.prices)) if len(found.prices) == 1 else "",
        f"{name} {rate} %" if name else "",
        found.shared,
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
