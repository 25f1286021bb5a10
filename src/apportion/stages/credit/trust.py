"""Trust: the score that a payer will pay in full and on time, the limit that it allows, and both in plain words.

Everything is exact arithmetic on recorded inputs, so a decision can be made again by anybody and comes out the same.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import msgspec
from blake3 import blake3

from apportion.errors import RefusalCode, refuse
from apportion.model.credit import FactorShare, History, Month, TrustDecision, TrustModel, TrustPolicy
from apportion.money import Asset, Exact, Money, parse_asset, round_to
from apportion.stages.credit.factors import FACTORS, PLACES, Factor, features, percent

_ZERO, _ONE = Exact(0), Exact(1)
_LOOKED_AT = 60  # months; older ones never count


class _Compiled(NamedTuple):
    intercept: Exact
    weights: tuple[tuple[Factor, Exact, Exact], ...]  # factor, coefficient, mean


class _Terms(NamedTuple):
    asset: Asset
    cap: int
    starting: int
    share: Exact
    minimum_score: Exact
    minimum_months: int
    months: int


class _Earned(NamedTuple):
    """A limit in atoms with what it was made of; ``score`` is None without a history."""

    atoms: int
    score: Exact | None = None
    volume: int = 0
    settled: int = 0


# ── the model ──


def model_version(model: TrustModel) -> str:
    """``trm_`` and 32 hexadecimal digits of the hash of everything else in the model."""
    body = msgspec.json.encode(msgspec.structs.replace(model, version=""), order="sorted")
    return "trm_" + blake3(body).hexdigest(length=16)


@functools.lru_cache(maxsize=64)
def _compiled(model: TrustModel) -> _Compiled:
    """The model's numbers, once it is known to be what it says, and no factor counts the wrong way."""
    if model.version != model_version(model):
        raise refuse(RefusalCode.CONFLICT, f"this is not the model {model.version[:40]!r}.", field="version")
    known = {factor.name: factor for factor in FACTORS}
    weights = []
    for weight in model.weights:
        factor = known.pop(weight.factor, None)
        if factor is None:
            raise refuse(
                RefusalCode.BAD_INPUT,
                f"{weight.factor[:40]!r} is no factor, or stands there twice.",
                field="weights",
                fix="Fit the model again: apportion trust fit.",
            )
        coefficient = _number(weight.coefficient, "coefficient")
        if coefficient.num * factor.sign < 0:
            raise refuse(
                RefusalCode.BAD_INPUT,
                f"{factor.name} must not {'help' if factor.sign < 0 else 'harm'}, but has {weight.coefficient[:40]}.",
                field="weights",
            )
        weights.append((factor, coefficient, _number(weight.mean, "mean")))
    return _Compiled(_number(model.intercept, "intercept"), tuple(weights))


def _number(text: str, field: str) -> Exact:
    return round_to(Exact.parse(text, field=field), PLACES)


def _shares(model: TrustModel, history: History) -> list[tuple[Factor, Exact, Exact]]:
    """Every factor of the model with its value and what it adds to the score of the average client."""
    values = dict(features(history))
    return [
        (factor, values[factor.name], coefficient * (values[factor.name] - mean))
        for factor, coefficient, mean in _compiled(model).weights
    ]


def predict(model: TrustModel, history: History) -> Exact:
    """How likely the payer is to pay in full and on time, between 0 and 1.

    Raises:
        Refused: CONFLICT when the model is not the version that it says; BAD_INPUT when a factor counts the wrong way.
    """
    score = _compiled(model).intercept
    for _, _, share in _shares(model, history):
        score += share
    return max(_ZERO, min(_ONE, score))


# ── the limit ──


def paid_volume(policy: TrustPolicy, history: History) -> tuple[int, int]:
    """Atoms that were used in the policy's newest months and paid in full and on time, and in how many months.

    A month counts once nothing of it is open any more; months in which nothing was used count nothing.
    """
    months = history.months[: max(0, policy.months)]
    paid = [month.used for place, month in enumerate(months) if month.used > 0 and _settled(months, place)]
    return sum(paid), len(paid)


def _settled(months: tuple[Month, ...], place: int) -> bool:
    month = months[place]
    if place == 0:
        return month.billed <= 0 and month.months_late <= 0
    newer = months[place - 1]
    return month.billed <= 0 or (newer.paid >= month.billed and newer.months_late <= 0)


def limit(policy: TrustPolicy, model: TrustModel, history: History) -> Money:
    """The credit line that a policy gives to a history: a pure function of the three.

    Paying more or earlier never lowers it. While a payment is missing it is never more than it was before the month
    in which that happened, whatever else has changed or grown old since.

    Raises:
        Refused: ASSET_MISMATCH when policy and history are of two currencies; what ``predict`` refuses; BAD_INPUT or
            BAD_AMOUNT when the policy makes no sense.
    """
    terms = _terms(policy, history)
    return Money(_lowest(terms, model, history)[0].atoms, terms.asset)


def _lowest(terms: _Terms, model: TrustModel, history: History) -> tuple[_Earned, _Earned]:
    """The limit that holds, and what the history by itself would give."""
    months = history.months[:_LOOKED_AT]
    history = History(months, history.overdue, history.asset)
    first = lowest = _earned(terms, model, history)
    while history.months and (history.overdue > 0 or history.months[0].months_late > 0):
        before = history.months[1:]
        history = History(before, before[0].months_late if before else 0, history.asset)
        lowest = min(lowest, _earned(terms, model, history), key=lambda earned: earned.atoms)
    return lowest, first


def _earned(terms: _Terms, model: TrustModel, history: History) -> _Earned:
    if not history.months:
        return _Earned(min(terms.cap, terms.starting))
    score = predict(model, history)
    counted = TrustPolicy("", "", months=terms.months)
    volume, settled = paid_volume(counted, history)
    if score < terms.minimum_score:
        return _Earned(0, score, volume, settled)
    earned = (Exact(volume) * terms.share * score).floor() if settled >= terms.minimum_months else 0
    missing = history.overdue > 0 or history.months[0].months_late > 0
    return _Earned(min(terms.cap, max(earned, 0 if missing else terms.starting)), score, volume, settled)


def _terms(policy: TrustPolicy, history: History) -> _Terms:
    asset = parse_asset(history.asset or policy.currency, store=True)
    if asset.code != parse_asset(policy.currency, store=True).code:
        raise refuse(
            RefusalCode.ASSET_MISMATCH,
            f"the policy is in {policy.currency[:20]}, the history in {history.asset[:20]}.",
            field="currency",
            fix="Give each currency a policy of its own.",
        )
    cap = Money.parse(policy.cap, asset, field="cap").atoms
    starting = Money.parse(policy.starting, asset, field="starting").atoms
    share = Exact.parse(policy.share, field="share")
    minimum = Exact.parse(policy.minimum_score, field="minimum_score")
    for value, field in ((cap, "cap"), (starting, "starting")):
        if value < 0:
            raise refuse(RefusalCode.BAD_AMOUNT, "must not be below zero.", field=field)
    if share < _ZERO or not _ZERO <= minimum <= _ONE or policy.minimum_months < 1 or policy.months < 1:
        raise refuse(
            RefusalCode.BAD_INPUT,
            "the policy makes no sense.",
            field="policy",
            fix="share from 0, minimum_score from 0 to 1, months and minimum_months from 1.",
        )
    return _Terms(asset, cap, starting, share, minimum, policy.minimum_months, policy.months)


# ── the decision, and why ──


def decide(policy: TrustPolicy, model: TrustModel, history: History) -> TrustDecision:
    """The limit with everything that it was made of; made again from its own fields, a decision is the same.

    Raises:
        Refused: as ``limit``.
    """
    terms = _terms(policy, history)
    held, own = _lowest(terms, model, history)
    text = Money(held.atoms, terms.asset).text()
    if own.score is None:
        return TrustDecision(text, _reason(terms, held, own), model.version, policy, history)
    factors = tuple(
        FactorShare(factor.name, value.text(), share.text(), f"{factor.says(value)}: {_effect(share)}.")
        for factor, value, share in _shares(model, history)
        if share
    )
    volume = Money(min(own.volume, 2**63 - 1), terms.asset).text()
    return TrustDecision(
        text, _reason(terms, held, own), model.version, policy, history, own.score.text(), volume, own.settled,
        _compiled(model).intercept.text(), factors, _declined(terms, own.score),
    )  # fmt: skip


def _declined(terms: _Terms, score: Exact) -> str:
    """Why a request of this payer on credit need not be negotiated at all."""
    if score >= terms.minimum_score:
        return ""
    return f"The score {round_to(score, 3).text()} is below {terms.minimum_score.text()}."


def wordless(decision: TrustDecision) -> TrustDecision:
    """A decision as the books keep it: its sentences follow from its numbers, and may be put better one day."""
    factors = tuple(FactorShare(one.factor, one.value, one.share) for one in decision.factors)
    return msgspec.structs.replace(decision, reason="", factors=factors, declined="")


def check_model(model: TrustModel) -> None:
    """Refuse a model that is not what it says, or in which a factor counts the wrong way.

    Raises:
        Refused: CONFLICT or BAD_INPUT.
    """
    _compiled(model)


def explain(decision: TrustDecision) -> tuple[str, ...]:
    """The decision in plain sentences: the limit and why, then what each factor did, the strongest first."""
    if not decision.score:
        return (decision.reason,)
    said = sorted(decision.factors, key=lambda one: abs(Exact.parse(one.share).num), reverse=True)
    average = round_to(Exact.parse(decision.intercept), 3).text()
    return (decision.reason, f"The average client scores {average}.", *(one.words for one in said))


def _effect(share: Exact) -> str:
    shown = round_to(share, 3)
    if not shown:
        return "changes the score by less than 0.001"
    return f"{'raises' if shown > _ZERO else 'lowers'} the score by {max(shown, -shown).text()}"


def _reason(terms: _Terms, held: _Earned, own: _Earned) -> str:
    def said(atoms: int) -> str:
        return f"{round_to(Exact(atoms, terms.asset.unit), 2).text()} {terms.asset.code}"

    if own.score is None:
        return f"No month was billed yet, so the starting limit applies: {said(own.atoms)}."
    score = round_to(own.score, 3).text()
    if own.score < terms.minimum_score:
        return f"The score {score} is below {terms.minimum_score.text()}, so there is no credit."
    if held.atoms < own.atoms:
        return (
            f"A payment is missing, so the limit is not above what it was before that: {said(held.atoms)} "
            f"(the score is {score})."
        )
    if own.settled < terms.minimum_months:
        return (
            f"{own.settled} months were used and paid on time, {terms.minimum_months} are needed to earn more than the "
            f"starting limit: {said(own.atoms)} (the score is {score})."
        )
    paid = f"{said(own.volume)}, used and paid on time in {own.settled} months"
    made = f"{percent(terms.share)} of {paid}, × the score {score}"
    if own.atoms == terms.cap:
        return f"The limit is the most that the policy allows, {said(own.atoms)}; by itself it would be {made}."
    if own.atoms == terms.starting:
        return f"The limit is the starting limit, {said(own.atoms)}; by itself it would be {made}."
    return f"The limit is {said(own.atoms)}: {made}."
