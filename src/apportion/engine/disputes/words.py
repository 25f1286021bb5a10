"""A case in plain words: what is disputed, what was set aside, and how it ended."""

from __future__ import annotations

from apportion.engine.disputes.standing import find_dispute
from apportion.engine.engine import Engine
from apportion.engine.explain import Explanation, Fact, Section
from apportion.model.dispute import DisputeLine
from apportion.money import Exact

_STATES = {
    "open": "It is not decided yet. What is set aside lies in clearing: nobody is paid it, or reminded of it.",
    "decided": "It is decided. What was set aside went back; what was granted is a charge of its own.",
    "withdrawn": "Who opened it gave it up. All that was set aside went back.",
}


def explain_dispute(engine: Engine, id: str) -> Explanation:
    """A case (``dsp_…``).

    Raises:
        Refused: NOT_FOUND.
    """
    line, owners = find_dispute(engine, id), engine.books.owners()
    currency = line.asset.partition("/")[0]
    who = owners.get(line.account, line.account)
    about = f"it bears {short(line.amount)} {currency} too much"
    if line.provider:
        other = owners.get(line.against, line.against) if line.against else "the platform"
        about = f"it earned {short(line.amount)} {currency} more for {line.part}, out of what {other} earns"
    facts = [Fact("charge", line.charge), Fact("opened at", line.opened), Fact("says", about)]
    facts += [
        Fact(f"evidence {place}", owners.get(one.account, one.account) or "the platform", f"digest {one.digest}")
        for place, one in enumerate(line.evidence, 1)
    ]
    if line.state == "decided":
        facts.append(Fact("granted", f"{short(line.granted)} {currency}", line.made or "nothing was booked"))
        if line.fault:
            facts.append(Fact("at fault", line.fault))
    held = tuple(Fact(owners.get(leg.account, leg.account), short(leg.amount)) for leg in line.held)
    sections = (
        Section("What was done", tuple(facts), _STATES[line.state]),
        Section("Set aside", held, "" if held else "Nothing was left to be set aside."),
    )
    check, holds = _check(engine, line)
    return Explanation(
        id, "operator", f"a dispute of {who} over {short(line.amount)} {currency}", sections, check, holds
    )


def short(text: str) -> str:
    """An amount as a person reads it: needless zeros gone, but for two."""
    whole, point, part = text.partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}" if point else text


def _check(engine: Engine, line: DisputeLine) -> tuple[str, bool]:
    """Whether the entries of a case are those of its state."""
    if not line.held:
        return "nothing was set aside", True
    first = line.held[0]
    entries = [entry for entry in engine.books.entries(first.account) if entry.cause == line.id]
    kinds = [entry.kind for entry in entries]
    wanted = ["dispute-hold"] if line.state == "open" else ["dispute-hold", "dispute-release"]
    left = sum((Exact.parse(leg.amount) for entry in entries for leg in entry.legs if leg.account == first.account),
               Exact(0))  # fmt: skip
    moved = left == (-Exact.parse(first.amount) if line.state == "open" else Exact(0))
    return f"booked for it: {', '.join(kinds)}", kinds == wanted and moved
