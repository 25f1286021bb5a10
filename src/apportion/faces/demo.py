"""The whole story on real data: four domains into one store, billed, proven, and told on one page.

Everything lands in one folder that the demo owns; it replaces its own files and touches no others.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

import msgspec

from apportion.adapters.catalog_file import load_catalog
from apportion.adapters.outside import signature_holds
from apportion.engine.billing import issue
from apportion.engine.engine import Engine
from apportion.engine.explain import View
from apportion.engine.export import last_checkpoint
from apportion.engine.inquiry import explain
from apportion.engine.settling.run import settle
from apportion.engine.verify import Outside, verify_store
from apportion.errors import RefusalCode, refuse
from apportion.faces.demo_page import index_page
from apportion.faces.invoked import program
from apportion.faces.pages.bars import Bar
from apportion.faces.pages.build import document_page
from apportion.faces.reading import Commands, read_usage
from apportion.faces.samples import sample
from apportion.faces.takings import Takings, gather
from apportion.faces.telling import TELLINGS, DemoResult, Proven, Telling, Told
from apportion.model.command import ChargeUsage
from apportion.model.settlement import Mode
from apportion.model.statement import Document, Seal, Statement
from apportion.model.tariff import Use
from apportion.money import Exact
from apportion.stages.statement import as_text, grouped
from apportion.wiring import open_engine

MARKER = ".apportion-demo"
STORE, TAMPERED, PAGE, STATEMENTS = "demo.db", "tampered.db", "index.html", "statements"
_PAYERS_SHOWN = 4
_BESIDES = ("", "-wal", "-shm", ".lock", ".key", ".heads")


def run_demo(into: Path, say: Callable[[str], None], limit: int | None = None) -> DemoResult:
    """Tell the story into the folder ``into``; ``limit`` reads only so many records of each file.

    Raises:
        Refused: CONFLICT, when the folder holds files that are not a demo's.
    """
    began = time.monotonic()
    folder = _own(into)
    store = str(folder / STORE)
    say(f"Four domains of real data, one engine, one store: {_here(folder / STORE)}\n")
    told = []
    for telling in TELLINGS:
        one = _tell(telling, store, folder, limit)
        told.append(one)
        for line in _lines(one):
            say(line)
    for line in _comparisons(told):
        say(line)
    started = time.monotonic()
    proven, seal = _prove(store)
    say(_proof_line(proven, seal, time.monotonic() - started))
    tampered, place = _tamper(folder, next(one for one in told if one.telling.tenant == "telephone"))
    result = DemoResult(
        str(folder), store, str(folder / PAGE), told, proven, _commands(folder, told, place), tampered, seal.key,
        time.monotonic() - began,
    )  # fmt: skip
    (folder / PAGE).write_text(index_page(result, seal), encoding="utf-8")
    result.seconds = time.monotonic() - began
    for line in _ending(result, folder):
        say(line)
    return result


# ── the folder ──


def _own(into: Path) -> Path:
    """The folder, empty or the demo's own, cleared of what an earlier demo left."""
    if into.exists() and (not into.is_dir() or (any(into.iterdir()) and not (into / MARKER).exists())):
        raise refuse(
            RefusalCode.CONFLICT,
            f"{into} holds files that are not a demo's, and they are not touched.",
            field="folder",
            fix="Name an empty folder, or a new one.",
        )
    into.mkdir(parents=True, exist_ok=True)
    for name in (STORE, TAMPERED):
        for end in _BESIDES:
            (into / (name + end)).unlink(missing_ok=True)
    (into / PAGE).unlink(missing_ok=True)
    shutil.rmtree(into / STATEMENTS, ignore_errors=True)
    (into / MARKER).write_text("Made by `apportion demo`, which replaces its own files here.\n")
    return into


def _here(path: Path) -> str:
    """A path as it is named from the current directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


# ── one domain ──


def _tell(telling: Telling, store: str, folder: Path, limit: int | None) -> Told:
    began = time.monotonic()
    data = sample(telling.folder)
    catalog = load_catalog(data / "catalog.toml")
    tokens: dict[tuple[str, str], Exact] = {}
    with open_engine(store, tenant=telling.tenant) as engine:
        engine.apply(catalog)
        batches = (b for file in telling.files for b in _limited(read_usage(data / file, catalog), limit))
        summary = engine.run(_counted(batches, tokens))
        engine.close_period()
        takings = gather(engine, catalog)
        specimen = max(takings, key=lambda one: one.examined).specimen if takings else ""
        explained = explain(engine, specimen, View()) if specimen else None
        issued = [] if telling.twin else issue(engine)
        documents = _write(issued, folder / STATEMENTS / telling.tenant, folder, telling, takings)
        settled = () if telling.twin else settle(engine, Mode.MULTILATERAL).settlements
        hosts = _hosts(engine, tokens) if telling.tenant == "model-gateway" else []
    seconds = time.monotonic() - began
    return Told(telling, catalog, summary, takings, explained, documents, len(issued), seconds, hosts, settled)


def _limited(batches: Iterator[Commands], limit: int | None) -> Iterator[Commands]:
    if limit is None:
        yield from batches
        return
    commands = (command for batch in batches for command in batch)
    yield list(islice(commands, limit))


def _counted(batches: Iterator[Commands], tokens: dict[tuple[str, str], Exact]) -> Iterator[Commands]:
    """The same batches, while quantities are added up by model."""
    for batch in batches:
        for command in batch:
            if isinstance(command, ChargeUsage) and (model := command.usage.attributes.get("model")):
                for measure, text in command.usage.quantities.items():
                    so_far = tokens.get((model, measure), Exact(0))
                    tokens[(model, measure)] = so_far + Exact.parse(text)
        yield batch


def _hosts(engine: Engine, tokens: dict[tuple[str, str], Exact]) -> list[Bar]:
    """What all requests would have cost at each host: their prices are by the token, so the sums can be priced."""
    terms = engine.terms()
    service = terms.catalog.services["completion"]
    models = sorted({model for model, _ in tokens})
    start = next(engine.books.records()).charge.at if models else ""
    bars = []
    for host, tariff in {**service.parts["host"].wholesale, "": service.retail}.items():
        cost = Exact(0)
        for model in models:
            quantities = {measure: total for (of, measure), total in tokens.items() if of == model}
            when = datetime.fromisoformat(start)
            cost += terms.pricer(tariff).price(Use(when, None, quantities, {"model": model})).exact
        name = terms.catalog.providers[host].name if host else "what users pay"
        bars.append(Bar(name, (cost.num * 10**6) // cost.den, not host))
    return sorted(bars, key=lambda bar: (bar.atoms, bar.label))


def _write(
    issued: list[Document], target: Path, folder: Path, telling: Telling, takings: list[Takings]
) -> list[tuple[Document, str]]:
    """Pages and texts of some payers and of all providers; (document, path of the page from the folder)."""
    if not issued:
        return []
    target.mkdir(parents=True)
    statements = [d for d in issued if isinstance(d, Statement)]
    statements.sort(key=lambda d: (bool(d.received), len(d.sections), Exact.parse(d.total)), reverse=True)
    chosen: list[Document] = [*statements[:_PAYERS_SHOWN], *[d for d in issued if not isinstance(d, Statement)]]
    written = []
    for document in chosen:
        page = target / f"{document.number}.html"
        page.write_text(document_page(document), encoding="utf-8")
        page.with_suffix(".txt").write_text(as_text(document), encoding="utf-8")
        written.append((document, page.relative_to(folder).as_posix()))
    return written


# ── proof and forgery ──


def _prove(store: str) -> tuple[list[Proven], Seal]:
    """Verify every tenant against the heads that were written beside the store; the last seal."""
    heads = Path(store + ".heads").read_bytes().splitlines()
    proven, seal = [], Seal(0, "", "", "", "")
    for telling in TELLINGS:
        with open_engine(store, tenant=telling.tenant, writable=False) as engine:
            verdict = verify_store(engine.store, engine.tenant, telling.tenant, Outside(signature_holds, heads))
            seal = _last_seal(engine) or seal
        counts = verdict.records, verdict.charges, verdict.entries, verdict.n
        proven.append(Proven(telling.tenant, verdict.ok, *counts, verdict.head))
    return proven, seal


def _last_seal(engine: Engine) -> Seal | None:
    found = last_checkpoint(engine.store, engine.tenant)
    if found is None:
        return None
    mark = found[1]
    key = str(msgspec.json.decode(engine.store.row(engine.tenant, 0, 1).split(b"\n")[0])["key"])
    return Seal(mark.n, mark.head, mark.at, mark.signature, key)


def _tamper(folder: Path, told: Told) -> tuple[str, str]:
    """Copy the store and change one amount in the copy; what was changed, and the tenant where it was."""
    copy = folder / TAMPERED
    shutil.copyfile(folder / STORE, copy)
    shutil.copyfile(folder / (STORE + ".heads"), folder / (TAMPERED + ".heads"))
    tenant = told.telling.tenant
    id = told.explained.id if told.explained is not None else ""
    with sqlite3.connect(copy) as db:
        mark = f'"type":"charge","id":"{id}"'
        row = db.execute(
            "SELECT j.tenant, n, body FROM journal j JOIN tenant t ON t.id = j.tenant "
            "WHERE t.name = ? AND instr(body, CAST(? AS BLOB)) > 0",
            (tenant, mark),
        ).fetchone()
        body = row[2].decode()
        start = body.index('"amount":"', body.index('"portions":[')) + len('"amount":"')
        end = body.index('"', start)
        was = body[start:end]
        forged = ("1" if was[0] != "1" else "2") + was[1:]
        changed = (body[:start] + forged + body[end:]).encode()
        db.execute("UPDATE journal SET body = ? WHERE tenant = ? AND n = ?", (changed, row[0], row[1]))
    db.close()
    return f"in {id} one provider's portion was changed from {was} to {forged}", tenant


# ── what is said ──


def _lines(one: Told) -> Iterator[str]:
    s, title = one.summary, one.telling.title
    classes = [f"{s.charged:,} charged", f"{s.zero_rated:,} free", f"{s.rejected:,} rejected", f"{s.pending:,} pending"]
    shown = ", ".join(text for text in classes if not text.startswith("0 "))
    yield f"  {title:32} {s.received:>7,} {one.telling.noun:9} {shown}  ({one.seconds:.1f} s)"
    for t in one.takings:
        legs = [f"{len(t.providers)} providers {_money(t, t.earned)}", f"platform {_money(t, t.platform)}"]
        legs += [f"tax {_money(t, sum(t.taxes.values()))}"] if t.taxes else []
        sponsor = sum(t.sponsors.values())
        gave = f"{t.paying:,} payers {_money(t, t.paid)}" + (f" + sponsor {_money(t, sponsor)}" if sponsor else "")
        sign = "=" if t.adds_up else "≠"
        yield f"      {gave} {sign} {' + '.join(legs)} {t.currency}"
    for number, said in one.payments:
        yield f"      {number} {said}"


def _money(t: Takings, atoms: int) -> str:
    return grouped(t.text(atoms))


def _comparisons(told: list[Told]) -> Iterator[str]:
    yield ""
    by = {one.telling.tenant: one for one in told}
    hosts = [bar for bar in by["model-gateway"].hosts if not bar.marked and bar.atoms]
    if hosts:
        low, high = hosts[0], hosts[-1]
        times = (high.atoms * 10 + low.atoms // 2) // low.atoms
        yield f"  The same hour at every host's price: from {_usd(low)} ({low.label}) to {_usd(high)} ({high.label}),"
        yield f"  {times // 10}.{times % 10} times as much. Fees are apportioned by what each host really asks."
    for tenant, bridge in (("telephone", "telecom-platform"), ("telephone-internet", "internet-provider")):
        for t in by[tenant].takings:
            earned, paid = _money(t, t.providers.get(bridge, 0)), _money(t, t.paid)
            name = by[tenant].catalog.providers[bridge].name
            yield f"  The same calls over {name}: the bridge earns {earned} of {paid} {t.currency}."
    yield ""


def _usd(bar: Bar) -> str:
    cents = (bar.atoms + 5000) // 10**4  # bars are in millionths
    return f"{cents // 100:,}.{cents % 100:02} USD"


def _proof_line(proven: list[Proven], seal: Seal, seconds: float) -> str:
    ok = all(one.ok for one in proven)
    charges = sum(one.charges for one in proven)
    word = "proof  " + ("everything" if ok else "NOT everything")
    return (
        f"{word} adds up: {charges:,} charges computed again from the books, every entry balanced, "
        f"every row chained ({seconds:.1f} s).\n       head {seal.head}, signed by {seal.key[:16]}…"
    )


def _commands(folder: Path, told: list[Told], forged: str) -> list[str]:
    store, copy = _here(folder / STORE), _here(folder / TAMPERED)
    by = {one.telling.tenant: one for one in told}
    call = by["telephone"].explained
    payer = next((d for d, _ in by["electricity"].documents if isinstance(d, Statement)), None)
    account = payer.account if payer is not None else "acct_00001"
    return [
        f"{program()} explain {call.id if call else ''} --store {store} --tenant telephone",
        f"{program()} trace {account} --store {store} --tenant electricity",
        f"{program()} verify {copy} --tenant {forged}",
    ]


def _ending(result: DemoResult, folder: Path) -> Iterator[str]:
    pages = sum(len(one.documents) for one in result.told)
    issued = sum(one.issued for one in result.told)
    yield ""
    yield f"  {issued:,} statements and remittance advices issued, {pages} of them as pages. Look at all of it:"
    yield f"    {_here(folder / PAGE)}"
    yield ""
    yield "  Next: one call explained; all money of one home; a forgery caught (exit code 1)"
    for command in result.commands:
        yield f"    {command}"
    yield f"  ({result.tampered})"
    yield f"\n  {result.seconds:.1f} s in all."
