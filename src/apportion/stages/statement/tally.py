"""Adding up what a statement says, charge by charge, so that millions of them need little memory.

Weights of lines are counted in 10^−9 atoms: they only decide who takes a rounded cent, never how much there is.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from apportion.model.charge import Charge, PriceLine, Share
from apportion.model.journal import UsageLine
from apportion.model.statement import Received
from apportion.money import GRID, Exact, Money, allocate
from apportion.money.asset import Asset
from apportion.money.exact import ZERO, decimal_text
from apportion.stages.statement.downward import HUNDRED
from apportion.stages.statement.words import RERATED, Component, Words

Category = tuple[str, str]
UNTAXED: Category = ("", "")
_DENOMINATORS = 64


def atoms_of(text: str, asset: Asset) -> int:
    """Decimal text of the books as atoms."""
    return Money.parse(text, asset).atoms


class ItemSum(msgspec.Struct):
    """One line as it grows: ``weight`` in 10^−9 atoms net of tax."""

    uses: int = 0
    shared: int = 0
    weight: int = 0
    quantity: Exact = Exact(0)
    prices: set[str] = set()


class ServiceSum(msgspec.Struct):
    """One service as it grows: uses, those that were free, and (part, provider) → how often they took part."""

    name: str
    uses: int = 0
    free: int = 0
    took: dict[tuple[str, str], int] = {}
    names: dict[str, tuple[str, bool]] = {}


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

    def __init__(self, asset: Asset) -> None:
        self.asset = asset
        self.charges = 0
        self.received: list[Received] = []
        self.categories: dict[Category, CategorySum] = {}
        self.services: dict[str, ServiceSum] = {}
        self.items: dict[tuple[str, str, str, Category], ItemSum] = {}
        self.invented = ""
        self.attribution = ""
        self.running = False

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
            item = self._item(("", f"Drawn for others: {words.service(charge.service)}", "", category))
            item.uses += 1
            item.weight += atoms * GRID

    def adjust(self, atoms: int, label: str) -> None:
        """Count a booking that is no charge, such as rounding paid back; above zero it is to be paid."""
        self.charges += atoms
        self._category(UNTAXED).gross += atoms
        item = self._item(("", label, "", UNTAXED))
        item.uses += 1
        item.weight += atoms * GRID

    def add(self, charge: Charge, usage: UsageLine, mine: Share, words: Words) -> None:
        """Count one charge, of which this payer bears ``mine``."""
        asset = self.asset
        share = atoms_of(mine.amount, asset)
        whole = sum(atoms_of(other.amount, asset) for other in charge.shares) if len(charge.shares) > 1 else share
        self.charges += share
        service = self.services.get(charge.service)
        if service is None:
            service = self.services[charge.service] = ServiceSum(words.service(charge.service))
        if not charge.origin:
            service.uses += 1
            service.free += not share
        for portion in charge.portions if not charge.origin else ():
            who = (portion.part, portion.provider)
            service.took[who] = service.took.get(who, 0) + 1
            if portion.provider not in service.names:
                service.names[portion.provider] = words.provider(portion.provider)
        split = self._categories(charge, share, mine)
        if share:
            own = next((p.quantities for p in usage.payers if p.payer == mine.account), {})
            borne = Borne(share, whole, own, len(usage.payers) > 1, split)
            for line, exact, said in _told(charge, mine, words):
                self._line(charge.service, line, exact, borne, said)

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

    def _line(self, service: str, line: PriceLine, exact: Exact, borne: Borne, said: Component) -> None:
        """Count one price line in each category that it falls into."""
        if not exact.num and (line.component == RERATED or not line.quantity.strip("0.")):
            return
        for category, part, of in _taxed(said, borne.split):
            weight = exact.num * part * self.asset.unit * GRID // (exact.den * of)
            if said.included and category[1]:
                rate = Exact.parse(category[1])
                weight = weight * HUNDRED * rate.den // (HUNDRED * rate.den + rate.num)
            item = self._item((service, said.label, said.unit, category))
            item.uses += 1
            item.weight += weight if borne.share == borne.whole else weight * borne.share // borne.whole
            item.shared += borne.shared
            text = borne.own.get(line.measure, line.quantity) if line.measure else ""
            if text:
                item.quantity = item.quantity + Exact.parse(text)
            item.prices = item.prices | {line.price}

    def _category(self, category: Category) -> CategorySum:
        return self.categories.setdefault(category, CategorySum())

    def _item(self, key: tuple[str, str, str, Category]) -> ItemSum:
        return self.items.setdefault(key, ItemSum())


def _part_of(tax: int, charge: Charge, mine: Share) -> int:
    """One payer's atoms of a tax leg; those of all payers add up to it."""
    if len(charge.shares) == 1:
        return tax
    weights = [Exact.parse(share.amount.lstrip("-")) for share in charge.shares]
    parts = allocate(tax, weights, [share.account for share in charge.shares]).shares
    return parts[charge.shares.index(mine)]


def _weighed(charge: Charge) -> Iterator[tuple[PriceLine, Exact]]:
    """Price lines with their exact amounts; what re-rating changed is what the other lines do not explain."""
    for line in charge.lines:
        if line.component == RERATED:
            exact = Exact.parse(charge.amount)
            for other in charge.lines:
                if other.component != RERATED:
                    exact = exact - Exact.parse(other.exact)
            yield line, exact
        else:
            yield line, Exact.parse(line.exact)


def _served(charge: Charge, mine: Share) -> Iterator[tuple[PriceLine, Exact]]:
    """Price lines of the tariffs that served this payer, so weighed that they still come to the whole charge."""
    lines = list(_weighed(charge))
    own = [(line, exact) for line, exact in lines if not mine.terms or line.tariff in ("", *mine.terms)]
    whole, part = (sum((exact for _, exact in some), ZERO) for some in (lines, own))
    for line, exact in own:
        yield line, (exact * whole).over(part) if part and len(own) < len(lines) else exact


def _told(charge: Charge, mine: Share, words: Words) -> Iterator[tuple[PriceLine, Exact, Component]]:
    """Price lines in words; where the payer wants it so, those of each other provider as one sum under its name."""
    summed = words.summed(charge.tariff, mine.account)
    delivered = {portion.part: portion.provider for portion in charge.portions} if summed else {}
    sums: dict[str, tuple[PriceLine, Exact, Component]] = {}
    for line, exact in _served(charge, mine):
        said = words.component(charge.service, line.tariff or charge.tariff, line.component, line.measure)
        part, colon, _ = line.component.partition(": ")
        if not colon or part not in delivered:
            yield line, exact, said
            continue
        name = words.provider(delivered[part])[0]
        before = sums[name][1] if name in sums else ZERO
        sums[name] = PriceLine(name, "", "", "", ""), before + exact, Component(name, "", said.tax, said.included)
    yield from sums.values()


def _taxed(said: Component, split: list[tuple[Category, int]]) -> list[tuple[Category, int, int]]:
    """The categories of a line with the fraction of it that falls into each: one, unless nobody knows."""
    if len(split) == 1:
        return [(split[0][0], 1, 1)]
    if said.tax is not None:
        for category, _ in split:
            if category[0] == said.tax:
                return [(category, 1, 1)]
    bases = sum(abs(base) for _, base in split)
    return [(category, abs(base), bases) for category, base in split if base]


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

    def __init__(self, asset: Asset) -> None:
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
        part = f"{portion.part} (at the close)" if charge.origin else portion.part
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
