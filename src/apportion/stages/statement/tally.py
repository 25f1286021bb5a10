"""Adding up what a statement says, charge by charge, so that millions of them need little memory.

Weights of lines are counted in 10^−9 atoms: they only decide who takes a rounded cent, never how much there is.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from apportion.model.charge import Charge, Share
from apportion.model.journal import UsageLine
from apportion.model.level import LEVEL
from apportion.model.statement import Received
from apportion.money import GRID, Exact, Money, allocate
from apportion.money.asset import Asset
from apportion.money.exact import decimal_text
from apportion.stages.statement.downward import HUNDRED
from apportion.stages.statement.exchanged import Exchange, Origin
from apportion.stages.statement.told import Category, Manner, ToldLine, taxed, told
from apportion.stages.statement.words import RERATED, Words

UNTAXED: Category = ("", "")
_DENOMINATORS = 64


def atoms_of(text: str, asset: Asset) -> int:
    """Decimal text of the books as atoms."""
    return Money.parse(text, asset).atoms


class ItemKey(NamedTuple):
    """What makes a line one line: the ``face`` whose statement it is on, whose use it is, what of, and its tax.

    ``face`` is a provider, or empty where there is one statement; ``account`` is empty for the payer's own use.
    """

    face: str
    account: str
    service: str
    label: str
    unit: str
    category: Category

    @property
    def name(self) -> str:
        """By what ties between lines are broken."""
        whose = (self.account,) if self.account else ()
        return "\x00".join((*whose, self.service, self.label, self.unit))


SectionKey = tuple[str, str, str]


class ItemSum(msgspec.Struct):
    """One line as it grows: ``weight`` in 10^−9 atoms net of tax, ``origins`` what of it was in other currencies."""

    uses: int = 0
    shared: int = 0
    weight: int = 0
    quantity: Exact = Exact(0)
    prices: set[str] = set()
    origins: dict[Origin, int] = {}


class ServiceSum(msgspec.Struct):
    """One service as it grows: uses, those that were free or late, and (part, provider) → how often they took part.

    ``names`` has the name of each provider, whether it is made up, and its network.
    """

    name: str
    uses: int = 0
    free: int = 0
    late: int = 0
    took: dict[tuple[str, str], int] = {}
    names: dict[str, tuple[str, bool, str]] = {}

    def use(self, charge: Charge, face: str, words: Words, *, free: bool, late: bool = False) -> None:
        """Count a use, and who took part in it (only the ``face``, when it is a statement of its own)."""
        self.uses += 1
        self.free += free
        self.late += late
        for portion in charge.portions:
            if face in ("", portion.provider):
                who = (portion.part, portion.provider)
                self.took[who] = self.took.get(who, 0) + 1
                if portion.provider not in self.names:
                    self.names[portion.provider] = (*words.provider(portion.provider), words.network(portion.provider))

    def absorb(self, other: ServiceSum) -> None:
        """Count what another one has counted."""
        self.uses += other.uses
        self.free += other.free
        self.late += other.late
        self.names |= other.names
        for who, uses in other.took.items():
            self.took[who] = self.took.get(who, 0) + uses


class CategorySum(msgspec.Struct):
    """One tax category: what was charged with tax, and the tax in it as booked, in atoms."""

    gross: int = 0
    tax: int = 0


class Borne(msgspec.Struct, frozen=True):
    """How much of a charge one payer bears: ``share`` of ``whole`` atoms, its ``own`` quantities, and the taxes."""

    share: int
    whole: int
    own: dict[str, str]
    shared: bool
    split: list[tuple[Category, int]]


class PayerTally:
    """What one payer account used and paid in what one statement will cover."""

    def __init__(self, asset: Asset, manner: Manner | None = None) -> None:
        self.asset = asset
        self.manner = manner or Manner()
        self.charges = 0
        self.received: list[Received] = []
        self.categories: dict[Category, CategorySum] = {}
        self.services: dict[SectionKey, ServiceSum] = {}
        self.items: dict[ItemKey, ItemSum] = {}
        self.homes: set[str] = set()
        self.exchange: Exchange | None = None  # of the charge that is counted next
        self.exchanged: dict[Origin, tuple[Exact, int]] = {}  # what was charged in another currency, and its atoms here
        self.invented = ""
        self.attribution = ""
        self.counted: set[tuple[str, str]] = set()  # in whose running totals something counts: period, first payer

    def receive(self, received: Received) -> None:
        """Count value that came in."""
        self.received.append(received)

    def receive_from(self, received: Received) -> None:
        """Count value out of a bucket, with what came out of it before."""
        for place, before in enumerate(self.received):
            if (before.kind, before.cause) == (received.kind, received.cause):
                atoms = atoms_of(before.amount, self.asset) + atoms_of(received.amount, self.asset)
                amount = decimal_text(atoms, self.asset.scale)
                self.received[place] = msgspec.structs.replace(received, amount=amount)
                return
        self.received.append(received)

    def draw(self, charge: Charge, mine: Share, words: Words) -> None:
        """Count what was drawn on this account for somebody else: how much for which service, nothing of the use."""
        self.charges += atoms_of(mine.amount, self.asset)
        before = {category: found.gross for category, found in self.categories.items()}
        for category, _ in self._categories(charge, atoms_of(mine.amount, self.asset), mine):
            atoms = self._category(category).gross - before.get(category, 0)
            item = self._item(ItemKey("", "", "", f"Drawn for others: {words.service(charge.service)}", "", category))
            item.uses += 1
            item.weight += atoms * GRID

    def adjust(self, atoms: int, label: str) -> None:
        """Count a booking that is no charge, such as rounding paid back; above zero it is to be paid."""
        self.charges += atoms
        self._category(UNTAXED).gross += atoms
        item = self._item(ItemKey("", "", "", label, "", UNTAXED))
        item.uses += 1
        item.weight += atoms * GRID

    def add(self, charge: Charge, usage: UsageLine, mine: Share, words: Words, *, late: bool = False) -> None:
        """Count one charge, of which this payer bears ``mine``; a ``late`` one is of a use before the period."""
        asset = self.asset
        if usage.period:
            self.counted.add((usage.period, usage.payers[0].payer))
        share = atoms_of(mine.amount, asset)
        whole = sum(atoms_of(other.amount, asset) for other in charge.shares) if len(charge.shares) > 1 else share
        self.charges += share
        split = self._categories(charge, share, mine)
        faces = {portion.provider for portion in charge.portions} if self.manner.split else {""}
        home = words.home(charge.tariff)
        self.homes |= {home} if home else set()
        if share:
            own = next((p.quantities for p in usage.payers if p.payer == mine.account), {})
            borne = Borne(share, whole, own, len(usage.payers) > 1, split)
            for line in told(charge, mine, words, self.manner):
                face = line.provider if self.manner.split else ""
                faces.add(face)
                self._line((face, "", charge.service), line, borne)
        for face in sorted(faces):
            service = self.services.setdefault((face, "", charge.service), ServiceSum(words.service(charge.service)))
            if not charge.origin:
                service.use(charge, face, words, free=not share, late=late)

    def absorb(self, other: PayerTally, account: str) -> None:
        """Count what another account was charged, under its name: its statement is this one."""
        self.charges += other.charges
        self.received += other.received
        self.counted |= other.counted
        self.homes |= other.homes
        for origin, (amount, atoms) in other.exchanged.items():
            self._exchange(origin, amount, atoms)
        self.invented, self.attribution = self.invented or other.invented, self.attribution or other.attribution
        for category, found in other.categories.items():
            mine = self._category(category)
            mine.gross += found.gross
            mine.tax += found.tax
        for (face, _, service), counted in other.services.items():
            self.services.setdefault((face, account, service), ServiceSum(counted.name)).absorb(counted)
        for key, item in other.items.items():
            self.items[key._replace(account=account)] = item

    def _categories(self, charge: Charge, share: int, mine: Share) -> list[tuple[Category, int]]:
        """Tax categories of a charge with their bases; this payer's part of each is counted."""
        asset = self.asset
        taxes = [((t.name, t.rate), atoms_of(t.base, asset), atoms_of(t.amount, asset)) for t in charge.taxes]
        rest = atoms_of(charge.amount, asset) - sum(base for _, base, _ in taxes)
        split = [(category, base) for category, base, _ in taxes]
        if rest or not split:
            split.append((UNTAXED, rest))
        if not share:
            return split
        grosses = [abs(base + tax) for _, base, tax in taxes] + ([abs(rest)] if len(split) > len(taxes) else [])
        gross = [share] if len(split) == 1 else list(allocate(share, [Exact(g) for g in grosses]).shares)
        for (category, _), part in zip(split, gross, strict=True):
            self._category(category).gross += part
        for category, _, tax in taxes:
            self._category(category).tax += _part_of(tax, charge, mine) if tax else 0
        return split

    def _line(self, section: SectionKey, one: ToldLine, borne: Borne) -> None:
        """Count one price line in each category that it falls into."""
        line, exact, said, _ = one
        if not exact.num and (line.component == RERATED or not line.quantity.strip("0.")):
            return
        for category, part, of in taxed(said, borne.split):
            weight = exact.num * part * self.asset.unit * GRID // (exact.den * of)
            if said.included and category[1]:
                rate = Exact.parse(category[1])
                weight = weight * HUNDRED * rate.den // (HUNDRED * rate.den + rate.num)
            item = self._item(ItemKey(*section, said.label, said.unit, category))
            item.uses += 1
            weight = weight if borne.share == borne.whole else weight * borne.share // borne.whole
            item.weight += weight
            if self.exchange is not None:
                item.origins = item.origins | {self.exchange.origin: item.origins.get(self.exchange.origin, 0) + weight}
            item.shared += borne.shared
            text = borne.own.get(line.measure, line.quantity) if line.measure else ""
            if text:
                item.quantity = item.quantity + Exact.parse(text)
            item.prices = item.prices | {line.price}

    def bear(self, exchange: Exchange | None, share: Share) -> None:
        """Say, before a charge is counted, in which currency it was made and what ``share`` of it was there."""
        self.exchange = exchange
        if exchange is not None:
            self._exchange(exchange.origin, Exact.parse(exchange.amount), atoms_of(share.amount, self.asset))

    def _exchange(self, origin: Origin, amount: Exact, atoms: int) -> None:
        before = self.exchanged.get(origin, (Exact(0), 0))
        self.exchanged[origin] = before[0] + amount, before[1] + atoms

    def _category(self, category: Category) -> CategorySum:
        return self.categories.setdefault(category, CategorySum())

    def _item(self, key: ItemKey) -> ItemSum:
        return self.items.setdefault(key, ItemSum())


def _part_of(tax: int, charge: Charge, mine: Share) -> int:
    """One payer's atoms of a tax leg; those of all payers add up to it."""
    if len(charge.shares) == 1:
        return tax
    weights = [Exact.parse(share.amount.lstrip("-")) for share in charge.shares]
    parts = allocate(tax, weights, [share.account for share in charge.shares]).shares
    return parts[charge.shares.index(mine)]


def _named(origin: str, part: str) -> str:
    """What a part is called on an advice; what adjusts something says what."""
    if origin.startswith(LEVEL):
        return f"{part}: service level missed" if part else "Service level missed"
    if origin.startswith(("chg_", "rerate ")):
        return f"{part} (corrected)"
    return f"{part} (at the close)" if origin else part


class DueSum(msgspec.Struct):
    """One part of one service as it grows: ``exact`` by denominator, so that adding needs no common one."""

    label: str
    uses: int = 0
    credited: int = 0
    exact: dict[int, int] = {}
    quantities: dict[tuple[str, str], Exact] = {}

    def owe(self, exact: Exact) -> None:
        """Add to what is due before rounding."""
        self.exact[exact.den] = self.exact.get(exact.den, 0) + exact.num

    def due(self, unit: int) -> Exact:
        """What is due in all; with many denominators to 10^−9 atoms, so that it stays readable."""
        if len(self.exact) <= _DENOMINATORS:
            total = Exact(0)
            for den, num in self.exact.items():
                total = (total + Exact(num, den)).reduced()
            return total
        grid = unit * GRID
        return Exact(sum(num * grid // den for den, num in self.exact.items()), grid)


class ProviderTally:
    """What one provider account earned in what one remittance advice will cover."""

    def __init__(self, asset: Asset, manner: Manner | None = None) -> None:
        self.asset = asset
        self.credited = 0
        self.paid = 0
        self.dues: dict[tuple[str, str], DueSum] = {}
        self.invented = ""
        self.attribution = ""

    def adjust(self, atoms: int, label: str) -> None:
        """Count a booking that is no charge."""
        self.credited += atoms
        due = self._due("", label, "Adjustments")
        due.uses += 1
        due.credited += atoms

    def pay(self, atoms: int) -> None:
        """Count what was paid out; what came back or was collected is below zero."""
        self.paid += atoms

    def take(self, other: ProviderTally) -> None:
        """Count all that another tally of this account counts."""
        self.credited += other.credited
        self.paid += other.paid
        self.invented, self.attribution = other.invented or self.invented, other.attribution or self.attribution
        for key, theirs in other.dues.items():
            due = self._due(*key, theirs.label)
            due.uses += theirs.uses
            due.credited += theirs.credited
            for den, num in theirs.exact.items():
                due.owe(Exact(num, den))
            for name, quantity in theirs.quantities.items():
                due.quantities[name] = due.quantities.get(name, Exact(0)) + quantity

    def add(self, charge: Charge, place: int, words: Words) -> None:
        """Count the portion at ``place`` of a charge."""
        portion = charge.portions[place]
        atoms = atoms_of(portion.amount, self.asset)
        if charge.origin and not atoms:
            return
        self.credited += atoms
        part = _named(charge.origin, portion.part)
        due = self._due(charge.service, part, words.service(charge.service))
        due.uses += 1
        due.credited += atoms
        due.owe(Exact.parse(portion.exact) if portion.exact else Exact(atoms, self.asset.unit))
        for line in portion.lines:
            if line.measure and line.quantity.strip("0."):
                said = words.component(charge.service, portion.tariff, line.component, line.measure)
                key = said.label, said.unit
                due.quantities[key] = due.quantities.get(key, Exact(0)) + Exact.parse(line.quantity)

    def _due(self, service: str, part: str, label: str) -> DueSum:
        return self.dues.setdefault((service, part), DueSum(label))
