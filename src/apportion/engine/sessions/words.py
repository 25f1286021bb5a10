"""A session in plain words: how it went, what each was charged and earned, and how each slice came about."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.explain import Explanation, Fact, Section, View
from apportion.engine.planned import plans_of
from apportion.engine.query import Record
from apportion.engine.sessions.agreed import scenario_of
from apportion.engine.sessions.views import session_line
from apportion.model.plan import PLAN, PlanLine
from apportion.model.session import SessionLine
from apportion.money import parse_asset
from apportion.money.exact import decimal_text

_LINE = msgspec.json.Decoder(SessionLine)
_EVENTS = {
    "opened": "it was opened, value was held and the first units were granted",
    "reported": "use was reported and charged",
    "low": "the value will not last: the payer was told what is needed to go on",
    "grace": "no value was left; it goes on for a while",
    "suspended": "the parts stopped",
    "resumed": "value came in, and it went on",
    "altered": "its terms changed",
    "confirmed": "the receiver confirmed what a silent part still delivered",
    "accepted": "the offer was accepted",
    "silent": "a part let its time pass without a report",
    "flagged": "a report was refused because a counter went down",
    "closed": "it ended, and what was still held went back",
}
_REASONS = {
    "no_value": "for want of value", "silent": "for want of a report", "value": "", "ended": "as it was asked to",
}  # fmt: skip


def explain_session(engine: Engine, id: str) -> Explanation:
    """A session in plain words.

    Raises:
        Refused: NOT_FOUND.
    """
    line = session_line(engine.store, engine.tenant, id)
    owners, scale = engine.books.owners(), parse_asset(line.asset).scale
    currency = line.asset.partition("/")[0]

    def money(atoms: int) -> str:
        return f"{plainly(decimal_text(atoms, scale))} {currency}"

    parts = [
        Fact(
            f"{meter.provider} ({meter.part})" if meter.part else "the whole",
            ", ".join(f"{units} {measure}" for measure, units in meter.used.items()) or "as the whole",
            _of_meter(engine, line, meter.lost),
        )
        for meter in line.meters
        if meter.part or meter.number
    ]
    parts += [
        Fact("covered by allowances", f"{cover.used} {cover.measure}", f"{money(cover.drawn)} of {cover.allowance}")
        for cover in line.covers
        if cover.used != "0"
    ]
    tax = sum(one.amount for one in line.taxes)
    paid = [Fact(owners.get(payer.account, payer.account), money(payer.charged)) for payer in line.payers]
    earned = [Fact(f"{m.provider} ({m.part})", money(m.credited)) for m in line.meters[1:]]
    earned.append(Fact("the platform", money(line.platform)))
    if line.sponsored:
        earned.append(Fact("a sponsor adds", money(line.sponsored)))
    if tax:
        earned.append(Fact("tax", money(tax)))
    sections = (
        *_by_plan(engine, line),
        Section("How it went", tuple(_history(engine, id))),
        Section("What was used", tuple(parts)),
        Section("Who pays", tuple(paid)),
        Section(
            "Who earns", tuple(earned), f"In {line.slices} slices, each what it came to so far less what was booked."
        ),
    )
    total = line.net + tax
    given = sum(m.credited for m in line.meters) + line.platform + tax - line.sponsored
    check = f"charged {money(total)}, portions + platform + tax − sponsored {money(given)}"
    title = f"{money(total)} for a session of {line.service}, {line.state.value}"
    return Explanation(id, "operator", title, sections, check, total == given)


def _by_plan(engine: Engine, line: SessionLine) -> Iterator[Section]:
    """What was agreed beforehand, where it was."""
    plan = plans_of(engine.store, engine.tenant)(line.plan) if line.plan else None
    if plan is not None:
        scenario, currency = scenario_of(plan, plan.chosen), line.asset.partition("/")[0]
        quantities = ", ".join(f"{units} {measure}" for measure, units in plan.quantities.items())
        agreed = Fact(scenario.name, f"{plainly(scenario.total)} {currency}", f"quoted for {quantities}")
        crew = [Fact(part.part, part.provider, f"by the tariff {part.tariff.id}") for part in scenario.parts]
        yield Section("What was agreed", (Fact("plan", plan.id), agreed, *crew, *_replaced(engine, plan)))


def _replaced(engine: Engine, plan: PlanLine) -> Iterator[Fact]:
    """The plans that it ran by before, the last first, and who was lost in each."""
    find = plans_of(engine.store, engine.tenant)
    now: PlanLine | None = plan
    while now is not None and now.before:
        used = ", ".join(f"{units} {measure}" for measure, units in now.used.items()) or "nothing was used"
        yield Fact("plan before", now.before, f"{' and '.join(now.lost)} was lost after {used}")
        now = find(now.before)


def _of_meter(engine: Engine, line: SessionLine, lost: dict[str, str]) -> str:
    if not lost:
        return ""
    session = engine.version(line.catalog).service(line.service).service.session
    bearer = session.overrun if session is not None else "provider"
    return ", ".join(f"{units} {measure}" for measure, units in lost.items()) + f" beyond a grant, the {bearer}'s loss"


def _history(engine: Engine, id: str) -> Iterator[Fact]:
    """What happened, in order; reports that follow one another count as one."""
    reported, last = 0, ""
    for line in lines_of(engine, id):
        if line.event == "reported":
            reported, last = reported + 1, line.at
            continue
        if reported:
            yield _reports(last, reported)
            reported = 0
        reason = _REASONS.get(line.reason, line.reason)
        yield Fact(line.at, line.event, f"{_EVENTS.get(line.event, line.event)} {reason}".strip())
    if reported:
        yield _reports(last, reported)


def _reports(last: str, count: int) -> Fact:
    return Fact(last, "reported", "use was reported and charged" + (f", {count} times" if count > 1 else ""))


def lines_of(engine: Engine, id: str) -> Iterator[SessionLine]:
    """Every line that the books have of a session."""
    mark = b'{"type":"session","id":"' + id.encode() + b'"'
    last = engine.store.head(engine.tenant, 0)[0]
    for _, body, _ in engine.store.journal(engine.tenant, 0, 0, last):
        if mark in body:
            yield from (_LINE.decode(raw) for raw in body.split(b"\n") if raw.startswith(mark))


def slice_section(engine: Engine, record: Record, view: View) -> Section:
    """How one slice's amount came about."""
    mark = b'{"type":"session","id":"' + record.usage.source.encode() + b'"'
    body = engine.store.row(engine.tenant, 0, record.n)
    line = next((_LINE.decode(raw) for raw in body.split(b"\n") if raw.startswith(mark)), None)
    if line is None:
        return Section("The session", ())
    scale, currency = parse_asset(line.asset).scale, line.asset.partition("/")[0]
    charge = record.charge

    def money(atoms: int) -> str:
        return f"{plainly(decimal_text(atoms, scale))} {currency}"

    facts = [Fact("session", line.id), Fact("slice", record.usage.id)]
    plan = charge.tariff.partition(".")[0] if charge.tariff.startswith(PLAN) else ""
    facts += [Fact("plan", plan, "whose prices were agreed beforehand")] if plan else []
    if view.kind == "provider":
        mine = [m for m in line.meters if m.provider == view.name]
        facts.append(Fact("earned so far", money(sum(m.credited for m in mine)), "this slice included"))
        return Section("The session", tuple(facts), "What is due to a part so far, less what was credited before.")
    after = line.net + sum(tax.amount for tax in line.taxes)
    facts.append(Fact("came to so far", money(after), f"until {line.through}"))
    facts.append(Fact("charged now", f"{plainly(charge.total)} {currency}"))
    return Section("The session", tuple(facts), "A slice is what the session comes to, less what was charged before.")


def plainly(text: str) -> str:
    """An amount without needless zeros."""
    return text.rstrip("0").rstrip(".") if "." in text else text
