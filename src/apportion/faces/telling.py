"""What the demo tells: its domains as data, the sentences about them, and what became of each."""

from __future__ import annotations

import msgspec

from apportion.engine.explain import Explanation
from apportion.engine.intake import RunSummary
from apportion.faces.pages.bars import Bar
from apportion.faces.takings import Takings
from apportion.model.catalog import Catalog
from apportion.model.settlement import SettlementLine
from apportion.model.statement import Document
from apportion.stages.statement import grouped


class Telling(msgspec.Struct, frozen=True):
    """One run over example data: the ``folder`` and ``files`` it reads, into ``tenant``, under ``title``.

    ``noun`` is what a record is; ``twin`` names the tenant that tells the same records otherwise.
    """

    tenant: str
    folder: str
    files: tuple[str, ...]
    title: str
    noun: str
    story: str
    twin: str = ""


class Told(msgspec.Struct):
    """One telling, done: what came in, what it came to, and what is shown of it."""

    telling: Telling
    catalog: Catalog
    summary: RunSummary
    takings: list[Takings]
    explained: Explanation | None
    documents: list[tuple[Document, str]]
    issued: int
    seconds: float
    hosts: list[Bar] = []
    settled: tuple[SettlementLine, ...] = ()

    @property
    def payments(self) -> list[tuple[str, str]]:
        """Each settlement by number, and what it pays."""
        said = []
        for line in self.settled:
            paid = f"{grouped(line.payable)} {line.asset.partition('/')[0]}"
            said.append((line.number, f"pays {len(line.payments)} providers {paid}; what is less than a cent goes on"))
        return said

    @property
    def months(self) -> int:
        """How many billing periods the shown documents are of."""
        return len({document.period for document, _ in self.documents})


class Proven(msgspec.Struct):
    """The proof of one tenant: verdict in numbers and the seal that it ends in."""

    tenant: str
    ok: bool
    records: int
    charges: int
    entries: int
    n: int
    head: str


class DemoResult(msgspec.Struct):
    """What the demo did and left behind; ``commands`` work as they are from the current directory."""

    folder: str
    store: str
    page: str
    told: list[Told]
    proven: list[Proven]
    commands: list[str]
    tampered: str
    key: str
    seconds: float


TELLINGS = (
    Telling(
        "model-gateway", "model-gateway", ("usage.csv",), "Model gateway", "requests",
        "One hour of real requests to a language model. Each request is one fee; a gateway and the host that answered "
        "share it, each at its own price, and the platform keeps what is left. Where a host costs more than the user "
        "pays, a sponsor carries the difference and the host still earns its full price.",
    ),
    Telling(
        "telephone", "telephone", ("usage-telecom.csv",), "Telephone", "calls",
        "Four weeks of real calls, each delivered by three providers: the caller’s carrier, a bridge, and the carrier "
        "of the called number. Conferences are shared by agreed weights; in some a guest pays nothing and the others "
        "bear it. Tax is a leg of its own.",
    ),
    Telling(
        "telephone-internet", "telephone", ("usage-internet.csv",), "The same calls over the internet", "calls", "",
        "telephone",
    ),
    Telling(
        "electricity", "electricity", ("usage.csv", "usage-gas-water.csv"), "Electricity, gas and water", "readings",
        "Seventeen real homes for a month, hour by hour, at prices of the time of use; a source generates, a network "
        "distributes, and the retailer keeps the rest. Gas is shared by agreed parts of a hundred; water has cheap "
        "first units, so its month is priced again in one order when it is closed.",
    ),
    Telling(
        "building", "electricity", ("usage-building.jsonl",), "The same homes as one building", "days", "",
        "electricity",
    ),
    Telling(
        "video-on-demand", "video-on-demand", ("usage.csv",), "Video on demand", "sessions",
        "A month of real viewing sessions. Asking for a title and delivering it are two services of two providers: a "
        "studio earns by the minute watched, a carrier by the gigabyte delivered. The viewer pays one fee.",
    ),
)  # fmt: skip

COMPARED = {
    "telephone-internet": "The same calls with the bridge of an internet provider instead of a telecom platform’s: "
    "users pay the same, the bridge earns less, the platform keeps more.",
    "building": "The same use as one building with one fee a day, shared by what it costs to serve each flat; one flat "
    "pays nothing and the others bear its cost.",
}
