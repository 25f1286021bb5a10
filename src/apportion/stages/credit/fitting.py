"""Fitting: the coefficients that told best, on past clients, who paid; each kept to its side of zero.

The only place that needs numpy. Sums are whole numbers, so that a fit comes out the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from apportion.errors import Misconfigured, RefusalCode, refuse
from apportion.model.credit import Example, TrustModel, Weight
from apportion.money import Exact, round_to
from apportion.stages.credit.factors import FACTORS, PLACES, features
from apportion.stages.credit.trust import model_version

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Whole = npt.NDArray[np.int64]

UNIT = 10**PLACES
FOLDS = 5
EXAMPLES_MIN, EXAMPLES_MAX = 100, 5_000_000
_SWEEPS = 3000
_RIDGE = 100_000  # a hundred-thousandth of a factor's range keeps factors that say the same from quarrelling


def fit(examples: Sequence[Example], source: str = "") -> TrustModel:
    """A model of the first three quarters of ``examples``, measured on the last quarter, which it has not seen.

    Put them in order of time: later clients then judge what earlier ones taught. Beside it the same is measured in
    five folds mixed over all of them.

    Raises:
        Refused: BAD_INPUT when there are too few, or all ended alike.
        Misconfigured: numpy is not installed.
    """
    try:
        import numpy as np
    except ImportError:
        raise Misconfigured("Fitting needs numpy: pip install 'apportion[trust]'.") from None
    if not EXAMPLES_MIN <= len(examples) <= EXAMPLES_MAX:
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"{len(examples)} clients can not be fitted.",
            field="history",
            fix=f"Give {EXAMPLES_MIN} to {EXAMPLES_MAX:,}.",
        )
    rows = np.array([_row(example) for example in examples], dtype=np.int64)
    cut = len(examples) * 3 // 4
    known, unseen = rows[:cut], rows[cut:]
    if len({*known[:, -2].tolist()}) < 2:
        raise refuse(RefusalCode.BAD_INPUT, "all clients to learn from ended alike.", field="history")
    weights, means = _fitted(known)
    text = [_text(unit) for unit in weights]
    model = TrustModel(
        _text(means[-1]),
        tuple(Weight(f.name, text[i], _text(means[i])) for i, f in enumerate(FACTORS)),
        trained_on=f"{cut:,} of {len(examples):,} clients{f' of {source}' if source else ''}",
        auc=_shown(auc(_scores(unseen, weights, means), _kept(unseen))),
        auc_folds=_shown(_mixed(rows, [_fold(example.client) for example in examples])),
    )
    return msgspec.structs.replace(model, version=model_version(model))


def auc(scores: Sequence[int], kept: Sequence[bool]) -> Exact | None:
    """How often a client who paid scores above one who did not (a tie counts half); None when there are not both."""
    ordered = sorted(zip(scores, kept, strict=True))
    good = sum(kept)
    bad = len(ordered) - good
    if not good or not bad:
        return None
    halves, below, place = 0, 0, 0
    while place < len(ordered):
        end = place
        while end < len(ordered) and ordered[end][0] == ordered[place][0]:
            end += 1
        up = sum(paid for _, paid in ordered[place:end])
        down = end - place - up
        halves += up * (2 * below + down)
        below += down
        place = end
    return Exact(halves, 2 * good * bad)


def _row(example: Example) -> list[int]:
    """Factor values and the outcome in millionths, and a one: sums of such rows' products are all that a fit needs."""
    values = [round_to(value * Exact(UNIT), 0).num for _, value in features(example.history)]
    return [*values, UNIT * example.kept, 1]


def _fitted(rows: Whole) -> tuple[list[int], list[int]]:
    """Coefficients and means (the last is that of the outcome), in millionths."""
    import numpy as np

    sums = rows.T @ rows
    count = int(sums[-1, -1])
    means = [round_to(Exact(int(total), count), 0).num for total in sums[-1, :-1]]
    centre = np.divide(sums[-1, :-1], count * UNIT)
    spread = np.divide(np.divide(sums[:-1, :-1], count), UNIT * UNIT) - np.outer(centre, centre)
    signs = np.array([factor.sign for factor in FACTORS])
    within = spread[:-1, :-1] * np.outer(signs, signs) + np.divide(np.eye(len(signs)), _RIDGE)
    toward = spread[:-1, -1] * signs
    weights = np.zeros(len(signs))
    for _ in range(_SWEEPS):  # each in turn to its best, never across zero: this settles at the best of all
        for i in range(len(signs)):
            best = weights[i] + np.divide(toward[i] - (within[i] * weights).sum(), within[i, i])
            weights[i] = max(0, best)
    return [int(unit) for unit in np.rint(weights * signs * UNIT)], means


def _scores(rows: Whole, weights: list[int], means: list[int]) -> list[int]:
    import numpy as np

    away = rows[:, : len(weights)] - np.array(means[:-1], dtype=np.int64)
    scores: list[int] = (away @ np.array(weights, dtype=np.int64)).tolist()
    return scores


def _kept(rows: Whole) -> list[bool]:
    return [outcome > 0 for outcome in rows[:, -2].tolist()]


def _mixed(rows: Whole, folds: list[int]) -> Exact | None:
    """The AUC over all clients, each scored by a model of the four folds that it is not in."""
    import numpy as np

    fold = np.array(folds)
    scores, kept = [], []
    for number in range(FOLDS):
        known, unseen = rows[fold != number], rows[fold == number]
        if not len(known) or not len(unseen):
            return None
        weights, means = _fitted(known)
        base = means[-1] * UNIT
        scores += [base + score for score in _scores(unseen, weights, means)]
        kept += _kept(unseen)
    return auc(scores, kept)


def _fold(client: str) -> int:
    return blake3(client.encode()).digest(1)[0] % FOLDS


def _text(millionths: int) -> str:
    return Exact(millionths, UNIT).text()


def _shown(value: Exact | None) -> str:
    return "" if value is None else round_to(value, 4).text()
