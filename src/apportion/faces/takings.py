"""What a tenant's charges add up to: who paid, who earned, as sums and as a flow; one pass over the books."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.query import Record
from apportion.faces.pages.flow import PAYER, PLATFORM, PROVIDER, SERVICE, SPONSOR, TAX, Flow, Node
from apportion.model.catalog import Catalog
from apportion.money.exact import decimal_text

PLATFORM_NODE = Node("platform", "platform", PLATFORM, 2)


class Takings(msgspec.Struct):
    """Sums in atoms of 10^−``scale`` ``currency``: payers + sponsors = providers + platform + taxes."""

    currency: str
    scale: int
    payers: dict[str, int] = {}
    providers: dict[str, int] = {}
    sponsors: dict[str, int] = {}
    taxes: dict[str, int] = {}
    platform: int = 0
    charges: int = 0
    sponsored: int = 0
    links: dict[tuple[str, str], int] = {}
    nodes: dict[str, Node] = {}
    specimen: str = ""
    examined: tuple[int, ...] = ()

    def text(self, atoms: int, places: int = 2) -> str:
        """Atoms as decimal text, rounded half up for show."""
        grain = 10 ** (self.scale - places)
        return decimal_text((2 * atoms + grain) // (2 * grain), places)

    @property
    def paying(self) -> int:
        """How many payers pay anything."""
        return sum(atoms != 0 for atoms in self.payers.values())

    @property
    def paid(self) -> int:
        """What payers pay together."""
        return sum(self.payers.values())

    @property
    def earned(self) -> int:
        """What providers earn together."""
        return sum(self.providers.values())

    @property
    def adds_up(self) -> bool:
        """Whether payers and sponsors paid what providers, platform and tax received, to the last atom."""
        given = self.paid + sum(self.sponsors.values())
        return given == self.earned + self.platform + sum(self.taxes.values())

    def flow(self) -> Flow:
        """The figure's data; what is negative in sum is left out of it."""
        flow = Flow(self.currency, self.scale)
        for (source, target), atoms in self.links.items():
            flow.add(self.nodes[source], self.nodes[target], atoms)
        return flow


def gather(engine: Engine, catalog: Catalog) -> list[Takings]:
    """Everything that was charged, per currency; ``specimen`` is a charge that is worth explaining."""
    books = engine.books
    owners = books.owners()
    found: dict[str, Takings] = {}
    for record in books.records():
        currency = record.charge.currency
        sums = found.get(currency)
        if sums is None:
            sums = found[currency] = Takings(currency, books.asset(currency).scale)
        _count(sums, record, catalog, owners)
    return list(found.values())


def _count(sums: Takings, record: Record, catalog: Catalog, owners: dict[str, str]) -> None:
    charge = record.charge
    sums.charges += 1
    service = catalog.services.get(charge.service)
    title = (service.name if service else "") or charge.service
    middle = Node(f"s:{charge.service}", title[:1].upper() + title[1:], SERVICE, 1)
    for node, atoms, into in _legs(sums, record, catalog, owners):
        sums.nodes[node.id] = node
        link = (node.id, middle.id) if into else (middle.id, node.id)
        sums.links[link] = sums.links.get(link, 0) + atoms
    sums.nodes[middle.id] = middle
    if not charge.origin:
        payers = record.usage.payers
        exempt = sum(not payer.pays for payer in payers)
        rank = (len(payers), exempt, len(charge.portions), _atoms(charge.total, sums.scale))
        if rank > sums.examined:
            sums.examined, sums.specimen = rank, charge.id


def _legs(sums: Takings, record: Record, catalog: Catalog, owners: dict[str, str]) -> Iterator[tuple[Node, int, bool]]:
    """The sides of a charge as (who, atoms, whether into the service); each is added to its sum."""
    charge, scale = record.charge, sums.scale
    for share in charge.shares:
        atoms, name = _atoms(share.amount, scale), owners[share.account]
        _add(sums.payers, name, atoms)
        yield Node(f"u:{name}", name, PAYER, 0), atoms, True
    if charge.sponsor:
        atoms, name = _atoms(charge.sponsored, scale), owners[charge.sponsor]
        _add(sums.sponsors, name, atoms)
        sums.sponsored += atoms > 0
        yield Node(f"x:{name}", "sponsor" if name == "marketing" else f"sponsor {name}", SPONSOR, 0), atoms, True
    for portion in charge.portions:
        atoms = _atoms(portion.amount, scale)
        known = catalog.providers.get(portion.provider)
        _add(sums.providers, portion.provider, atoms)
        name = known.name.partition(" (")[0] if known is not None and known.name else portion.provider
        name += " *" * (known is not None and known.invented)
        yield Node(f"p:{portion.provider}", name, PROVIDER, 2), atoms, False
    platform = _atoms(charge.platform, scale)
    sums.platform += platform
    yield PLATFORM_NODE, platform, False
    for tax in charge.taxes:
        atoms = _atoms(tax.amount, scale)
        _add(sums.taxes, f"{tax.name} {tax.rate} %", atoms)
        yield Node(f"t:{tax.name}", f"{tax.name.upper()} {tax.rate} %", TAX, 2), atoms, False


def _add(sums: dict[str, int], name: str, atoms: int) -> None:
    sums[name] = sums.get(name, 0) + atoms


def _atoms(text: str, scale: int) -> int:
    whole, _, part = text.partition(".")
    return int(whole + part.ljust(scale, "0"))
