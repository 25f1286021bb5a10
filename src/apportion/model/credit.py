"""Trust-based credit: what the books know of a payer's billed months, what a model made of it, and what it allows.

Amounts of a history are atoms of one asset. Everything that a decision is made of is in these records, so that
anybody can make it again: the history, the policy, the model's version.
"""

from __future__ import annotations

import msgspec


class Month(msgspec.Struct, frozen=True, omit_defaults=True):
    """One billed month of a payer, as it stood when its statement was issued (the newest: as it stands now).

    ``billed`` is what was open after it, earlier months included; ``paid`` what came in since the statement before;
    ``limit`` the credit line in force; ``used`` what the month itself added; ``months_late`` how many months the oldest
    unpaid statement was past its due date at worst.
    """

    billed: int
    paid: int
    limit: int
    used: int = 0
    months_late: int = 0


class History(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payer's months, newest first, with how many months something is ``overdue`` now; ``asset`` such as EUR/9."""

    months: tuple[Month, ...] = ()
    overdue: int = 0
    asset: str = ""


class Example(msgspec.Struct, frozen=True):
    """A client of the past: the history at the time, and whether the next payment was made (``kept``) or missed."""

    client: str
    history: History
    kept: bool


class Weight(msgspec.Struct, frozen=True):
    """What one factor counts: ``coefficient`` × (value − ``mean``), all decimal text."""

    factor: str
    coefficient: str
    mean: str


class TrustModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A linear prediction that a payer pays in full and on time.

    ``version`` is the hash of everything else. ``intercept`` is the score of the average client; ``auc`` was measured
    on clients that the fit had not seen, ``auc_folds`` in five folds mixed over all of them (0.5 is a coin, 1 perfect).
    """

    intercept: str
    weights: tuple[Weight, ...]
    version: str = ""
    trained_on: str = ""
    auc: str = ""
    auc_folds: str = ""


class TrustPolicy(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an operator allows; amounts are decimal text of ``currency``.

    ``cap`` is never exceeded. ``starting`` is the limit without any history, and stays the least limit of payers in
    good standing. The earned limit is ``share`` × score × what was used in the newest ``months`` and paid on time; it
    needs a score of ``minimum_score`` and ``minimum_months`` months paid on time.
    """

    currency: str
    cap: str
    starting: str = "0"
    share: str = "0.25"
    minimum_score: str = "0.7"
    minimum_months: int = 3
    months: int = 12


class FactorShare(msgspec.Struct, frozen=True):
    """What one factor did to a score: its ``value``, the ``share`` it added (decimal text), and that in ``words``."""

    factor: str
    value: str
    share: str
    words: str


class TrustDecision(msgspec.Struct, frozen=True, omit_defaults=True):
    """A limit with all it was made of; the same inputs give the same decision.

    ``score`` is empty without a history. ``volume`` is what was used and paid on time, in ``settled`` months;
    ``limit`` and ``volume`` are decimal text of the policy's currency. ``intercept`` + Σ shares = score, unless that
    is cut to 0 … 1.
    """

    limit: str
    reason: str
    model: str
    policy: TrustPolicy
    history: History
    score: str = ""
    volume: str = "0"
    settled: int = 0
    intercept: str = ""
    factors: tuple[FactorShare, ...] = ()
