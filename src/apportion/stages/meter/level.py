"""Service levels: what the samples of a window come to, whether that keeps what was promised, and what a miss costs.

Sums only, so that a million uses need no more memory than one. Everything is exact but what a person reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from apportion.model.agreement import Consequence, Levels, Targets
from apportion.model.charge import Charge
from apportion.model.level import Level
from apportion.model.usage import PartUse
from apportion.money import Exact, Money, Rounding, allocate
from apportion.money.asset import Asset
from apportion.money.exact import ZERO
from apportion.money.rounding import nearest, round_to

ALTERNATE = "alternate"  # a share that somebody else's account was drawn for
_HUNDRED = Exact(100)
_SECOND = 10**6  # in microseconds
_DECIMALS = 9


class Samples(msgspec.Struct):
    """What is known of a provider's deliveries to a payer in a window: sums and counts.

    ``uses`` parts were delivered. Of ``told`` outcomes some ``failed``; ``timed`` latencies sum to ``wait`` ms, and of
    them some were ``within`` the target; ``carried`` units took ``seconds``. Of ``span`` microseconds it was ``down``.
    """

    uses: int = 0
    told: int = 0
    failed: int = 0
    timed: int = 0
    wait: Exact = ZERO
    within: int = 0
    rated: int = 0
    carried: Exact = ZERO
    seconds: Exact = ZERO
    span: int = 0
    down: int = 0

    def outcome(self, *, failed: bool) -> None:
        """Count how one use ended."""
        self.told += 1
        self.failed += failed

    def latency(self, milliseconds: Exact, most: int) -> None:
        """Count one latency."""
        self.timed += 1
        self.wait = self.wait + milliseconds
        self.within += milliseconds <= Exact(most)

    def throughput(self, units: Exact, seconds: Exact) -> None:
        """Count so many units in so much time; none in no time at all."""
        if seconds:
            self.rated += 1
            self.carried = self.carried + units
            self.seconds = self.seconds + seconds


class Told(msgspec.Struct, frozen=True):
    """What a record tells of the part that one provider delivered in it."""

    part: str
    provider: str
    attributes: dict[str, str]
    quantities: dict[str, str]
    microseconds: int = 0
    slice: bool = False  # of a session: it tells of throughput alone


def sample(samples: Samples, one: Told, says: Levels, targets: Targets, unit: int) -> None:
    """Count what one delivered part tells; ``unit`` is how many milliseconds the latency is counted in."""
    outcome = says.success
    if outcome is not None and not one.slice and outcome.attribute in one.attributes:
        failed = one.attributes[outcome.attribute] in outcome.failed
        fault = one.attributes.get(outcome.fault, "") if outcome.fault else ""
        samples.outcome(failed=failed and fault in ("", one.part, one.provider))
    wait, units = (_number(one.quantities.get(measure, "")) for measure in (says.latency, says.throughput))
    if wait is not None and not one.slice:
        samples.latency(wait * Exact(unit), targets.latency)
    if units is not None:
        samples.throughput(units, Exact(one.microseconds, _SECOND))


def _number(text: str) -> Exact | None:
    """A quantity to nine decimals, so that sums stay small; None for what is missing or below zero, and no sample."""
    number = Exact.parse(text) if text else None
    return round_to(number, _DECIMALS) if number is not None and number.num >= 0 else None


def merged(quantities: dict[str, str], parts: Iterable[PartUse], part: str, provider: str) -> dict[str, str]:
    """The quantities of one part: its own where it has any, else those of the whole record."""
    mine = next((one.quantities for one in parts if (one.part, one.provider) == (part, provider)), None)
    return {**quantities, **mine} if mine else quantities


def union(spans: Iterable[tuple[int, int]], start: int, end: int) -> int:
    """How much of the time from ``start`` until ``end`` lies in any of the spans, overlaps counted once."""
    covered, reached = 0, start
    for begin, over in sorted(spans):
        begin, over = max(begin, reached), min(over, end)
        if over > begin:
            covered += over - begin
            reached = over
    return covered


# ── verdicts ──


def levels_of(samples: Samples, targets: Targets) -> tuple[Level, ...]:
    """What was measured of each target; of what nothing was measured, nothing is said against the provider."""
    found: list[Level] = []
    if targets.availability:
        found.append(_least("availability", targets.availability, samples.span - samples.down, samples.span))
    if targets.success:
        found.append(_least("success", targets.success, samples.told - samples.failed, samples.told))
    if targets.latency and targets.within:
        kept = _least("latency", targets.within, samples.within, samples.timed)
        found.append(msgspec.structs.replace(kept, limit=str(targets.latency)))
    elif targets.latency:
        mean = samples.wait.over(Exact(samples.timed)) if samples.timed else None
        good = mean is None or mean <= Exact(targets.latency)
        found.append(
            Level("latency", str(targets.latency), mean.text() if mean is not None else "", samples.timed, good)
        )
    if targets.throughput:
        rate = samples.carried.over(samples.seconds) if samples.rated else None
        good = rate is None or rate >= Exact.parse(targets.throughput)
        measured = rate.text() if rate is not None else ""
        found.append(Level("throughput", targets.throughput, measured, samples.rated, good))
    return tuple(found)


def _least(target: str, promised: str, good: int, of: int) -> Level:
    """A fraction that must be at least what was promised; that of time counts as one sample."""
    if not of:
        return Level(target, promised, "", 0, True)
    measured = Exact(good, of)
    samples = 1 if target == "availability" else of
    return Level(target, promised, measured.text(), samples, measured >= Exact.parse(promised))


def words(level: Level) -> str:
    """A level for a person: ``availability 99.2 % (promised 99.9 %)``; a miss never looks like what was promised."""
    if not level.measured:
        return f"{level.target} was not measured"
    if level.target in ("availability", "success") or level.limit:
        measured, promised = (Exact.parse(text) * _HUNDRED for text in (level.measured, level.promised))
        what = f"latency of {level.limit} ms in" if level.limit else level.target
        return f"{what} {_shown(measured, promised, Rounding.DOWN)} % (promised {promised.text()} %)"
    measured, promised = Exact.parse(level.measured), Exact.parse(level.promised)
    if level.target == "latency":
        return f"latency {_shown(measured, promised, Rounding.UP)} ms (promised {promised.text()} ms)"
    return f"throughput {_shown(measured, promised, Rounding.DOWN)} a second (promised {promised.text()})"


def _shown(measured: Exact, promised: Exact, mode: Rounding) -> str:
    digits = max(2, len(promised.text().partition(".")[2]))
    return round_to(measured, digits, mode).text()


# ── the fee, and what of it is given back ──


class Fee(msgspec.Struct):
    """What a payer bears of what a provider delivered, in atoms: ``gross`` = ``rest`` + bases + taxes.

    ``taxes`` are base and tax by name and rate; ``rest`` is what is not taxed.
    """

    gross: int = 0
    rest: int = 0
    taxes: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, other: Fee, sign: int = 1) -> None:
        """Count another one, or take it away."""
        self.gross += sign * other.gross
        self.rest += sign * other.rest
        for key, (base, tax) in other.taxes.items():
            mine = self.taxes.get(key, (0, 0))
            self.taxes[key] = mine[0] + sign * base, mine[1] + sign * tax


def fee_of(charge: Charge, asset: Asset, account: str, mine: Callable[[str, str], bool]) -> Fee:
    """What ``account`` bears of the parts of a charge that are ``mine`` (part, provider), each of them with its tax.

    A fee is shared out among those who delivered by what each earns of it, as on statements. What was drawn on somebody
    else's account is not borne.
    """
    borne = sum(_atoms(s.amount, asset) for s in charge.shares if s.bearer == account and s.source != ALTERNATE)
    wanted = [mine(portion.part, portion.provider) for portion in charge.portions]
    if not borne or not any(wanted):
        return Fee()
    if not all(wanted):
        parts = _by_weight(borne, [_atoms(portion.amount, asset) for portion in charge.portions])
        borne = sum(part for part, is_mine in zip(parts, wanted, strict=True) if is_mine)
    if not charge.taxes:
        return Fee(borne, borne)
    pairs = [(_atoms(line.base, asset), _atoms(line.amount, asset)) for line in charge.taxes]
    rest = _atoms(charge.amount, asset) - sum(base for base, _ in pairs)
    parts = _by_weight(borne, [rest, *(atoms for pair in pairs for atoms in pair)])
    taxes = zip(charge.taxes, parts[1::2], parts[2::2], strict=True)
    return Fee(borne, parts[0], {(line.name, line.rate): (base, tax) for line, base, tax in taxes})


def percent(levels: Sequence[Level], consequence: Consequence) -> Exact:
    """How many percent of the fee the missed targets cost together."""
    missed = sum(not level.kept for level in levels)
    return min(Exact.parse(consequence.credit) * Exact(missed), Exact.parse(consequence.most))


def credit_of(fee: Fee, share: Exact) -> Fee:
    """``share`` percent of a fee, rounded down, with the tax in it; nothing of a fee that is not above zero."""
    atoms = nearest(fee.gross * share.num, 100 * share.den, Rounding.DOWN) if fee.gross > 0 else 0
    if not atoms:
        return Fee()
    taxes = sorted(fee.taxes.items())
    weights = [max(part, 0) for part in (fee.rest, *(atoms for _, pair in taxes for atoms in pair))]
    parts = _by_weight(atoms, weights)
    pairs = zip(taxes, parts[1::2], parts[2::2], strict=True)
    return Fee(atoms, parts[0], {key: (base, tax) for (key, _), base, tax in pairs if base or tax})


def _by_weight(atoms: int, weights: Sequence[int]) -> list[int]:
    """Atoms by largest remainder; alike, when nothing weighs anything."""
    sizes = [abs(weight) for weight in weights]
    return list(allocate(atoms, [Exact(size) for size in sizes] if any(sizes) else [Exact(1)] * len(sizes)).shares)


def _atoms(text: str, asset: Asset) -> int:
    return Money.parse(text, asset).atoms
