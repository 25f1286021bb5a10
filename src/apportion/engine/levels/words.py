"""A measured level in plain words: what was promised and measured, and how the credit comes of it."""

from __future__ import annotations

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.explain import Explanation, Fact, Section, View
from apportion.errors import RefusalCode, refuse
from apportion.model.level import LevelLine, LevelState
from apportion.money.exact import ZERO, Exact
from apportion.stages.meter.level import percent, words

_LINE = msgspec.json.Decoder(LevelLine)
_STATES = {
    LevelState.KEPT: "every target that was measured was kept",
    LevelState.MISSED: "it was missed, which costs nothing by the agreement",
    LevelState.CREDITED: "the credit was booked at once",
    LevelState.REVIEW: "the credit waits until a person approves or waives it",
    LevelState.APPROVED: "a person approved the credit, and it was booked",
    LevelState.WAIVED: "a person waived the credit, and nothing was booked",
}
_BEARS = "The provider that missed what was agreed bears it; nobody else's part changes."


def level_section(line: LevelLine, *, fee: bool) -> Section:
    """What was measured and what it comes to; without the ``fee`` for a provider."""
    currency = line.asset.partition("/")[0]
    facts = [
        Fact("agreement", line.agreement), Fact("from", line.start), Fact("until", line.end),
        Fact("uses", str(line.uses), f"of {', '.join(line.parts)} by {line.provider}"),
    ]  # fmt: skip
    for one in line.levels:
        note = f"{'kept' if one.kept else 'missed'}; exactly {one.measured}"
        of = f", of {one.samples} samples" * (one.target != "availability")
        facts.append(Fact(one.target, words(one), note + of if one.measured else ""))
    share = percent(line.levels, line.consequence)
    if fee:
        facts.append(Fact("fee", f"{_short(line.fee)} {currency}", "what the payer bears of it, with tax"))
    if share:
        missed = sum(not one.kept for one in line.levels)
        each, most = line.consequence.credit, line.consequence.most
        note = f"{share.text()} % of the fee: {missed} missed, {each} % for each, at most {most} %; rounded down"
        facts.append(Fact("credit", f"{_short(line.credit)} {currency}", note))
    return Section("Service level", tuple(facts), _STATES[LevelState(line.state)].capitalize() + ".")


def explain_level(engine: Engine, id: str) -> Explanation:
    """A level as the operator sees it.

    Raises:
        Refused: NOT_FOUND.
    """
    line = _level(engine, id)
    title = f"the service level of {line.provider} by {line.agreement} in {line.period}"
    made = (Section("What was booked", (Fact("charge", line.made),)),) if line.made else ()
    tax = ZERO
    for one in line.taxes:
        tax = tax + Exact.parse(one.amount)
    check = f"credit {_short(line.credit)}, of which tax {tax.text()}"
    return Explanation(id, "operator", title, (level_section(line, fee=True), *made), check, True)


def with_level(engine: Engine, found: Explanation, level: str, view: View) -> Explanation:
    """An adjustment that was explained like any charge, with the level that it is of."""
    sections = tuple(
        msgspec.structs.replace(one, text=_BEARS) if one.title in ("Who earns", "What it earns") else one
        for one in found.sections
    )
    line = _level(engine, level)
    return msgspec.structs.replace(found, sections=(*sections, level_section(line, fee=view.kind != "provider")))


def _level(engine: Engine, id: str) -> LevelLine:
    found = engine.store.courses(engine.tenant, [id]).get(id)
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, f"there is no level {id[:60]!r}.", field="id")
    return _LINE.decode(found.line)


def _short(text: str) -> str:
    return Exact.parse(text).text()
