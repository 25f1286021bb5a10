"""Trust-based credit: what the books know of a payer's billed months, what a model made of it, and what it allows.

Amounts of a history are atoms of one asset. Everything that a decision is made of is in these records, so that
anybody can make it again: the history, the policy, the model's version.
"""

from __future__ import annotations

import msgspec

from apportion.model.journal import CourseLine, Line


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


class Dunning(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When statements are due and what happens to those that are not paid; counted in days.

    A statement is due ``due_days`` after its issue. A reminder goes out each of so many days after that
    (``reminders``, rising), and ``write_off`` days after it the debt is written off (0: only when somebody says so).
    ``day`` is how many seconds count as a day, for trials.
    """

    due_days: int = 14
    reminders: tuple[int, ...] = ()
    write_off: int = 0
    day: int = 86_400


class FactorShare(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one factor did to a score: its ``value``, the ``share`` it added (decimal text), and that in ``words``."""

    factor: str
    value: str
    share: str
    words: str = ""


class TrustDecision(msgspec.Struct, frozen=True, omit_defaults=True):
    """A limit with all it was made of; the same inputs give the same decision.

    ``score`` is empty without a history. ``volume`` is what was used and paid on time, in ``settled`` months;
    ``limit`` and ``volume`` are decimal text of the policy's currency. ``intercept`` + Σ shares = score, unless that
    is cut to 0 … 1. ``declined`` says why a request need not be negotiated at all; empty when it may be.
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
    declined: str = ""


# ── in the books ──


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A statement of a trail: atoms that were ``open`` after it, what it ``used``, the credit line (``limit``) then.

    ``paid`` had come in since the statement before, ``came`` in all; ``then`` is what had come in when it fell due
    (None: not yet). ``late`` as in ``Month``. ``reminded`` counts its reminders, ``off`` says that it was written off.
    """

    id: str
    at: str
    due: str
    open: int
    used: int
    limit: int
    paid: int
    came: int
    late: int = 0
    then: int | None = None
    reminded: int = 0
    off: bool = False


class TrailLine(CourseLine, frozen=True, tag="trail", kw_only=True):
    """What was asked of a payer and how it was met, oldest statement first; ``id`` is ``trust_`` and its number.

    Of value that comes in only the sum is kept, a running total of the account. ``policy`` is what it may earn (None:
    nothing), ``least`` its fixed credit line (atoms), ``apart`` what was written off or recovered since the last
    statement, ``decision`` the last decision (``trd_…``). An ``ended`` trail is followed no more. Open cases are about
    ``disputed`` atoms, of which nobody is reminded.
    """

    account: str
    at: str
    policy: TrustPolicy | None = None
    dunning: Dunning | None = None
    least: int = 0
    asked: tuple[Asked, ...] = ()
    apart: int = 0
    decision: str = ""
    ended: bool = False
    disputed: int = 0


class ModelLine(Line, frozen=True, tag="model"):
    """From here on decisions are made by this model."""

    id: str
    at: str
    model: TrustModel


class TrustLine(Line, frozen=True, tag="trust"):
    """A decision about a payer's credit with all it was made of, but its words: those follow from the rest.

    ``credit`` is the line from here on: the decision's limit, at least ``least``, nothing while a loss stands.
    """

    id: str
    account: str
    at: str
    least: str
    credit: str
    decision: TrustDecision


class DunningLine(Line, frozen=True, tag="dunning"):
    """What was done about a statement that is past its due date: ``state`` is reminder (``step`` counts them), paid or
    written-off; ``open`` what nobody has paid of it (decimal text).
    """

    statement: str
    account: str
    at: str
    state: str
    step: int
    open: str


class Loss(msgspec.Struct, frozen=True, omit_defaults=True):
    """One write-off: ``atoms`` that ``account`` (the guarantor's) was debited for, and what was ``recovered`` of it."""

    id: str
    account: str
    at: str
    atoms: int
    recovered: int = 0
    guarantor: str = ""


class LossLine(CourseLine, frozen=True, tag="loss", kw_only=True):
    """What was written off for a payer and is not recovered, oldest first; ``id`` is ``loss_`` and its number.

    ``count`` write-offs were made so far. ``least`` is the fixed credit line (atoms) that comes back once ``losses``
    is empty, where no trail knows it.
    """

    account: str
    at: str
    count: int
    losses: tuple[Loss, ...] = ()
    least: int = 0


# ── commands ──


class SetCredit(msgspec.Struct, frozen=True):
    """Decide a payer's credit line anew, by its trail; ``account`` is a number."""

    account: int


class ReviewCredit(msgspec.Struct, frozen=True):
    """A due date of a payer has come: remind, write off, or decide its credit anew."""

    account: int


class WriteOff(msgspec.Struct, frozen=True):
    """Move a payer's debt to who stands for it: ``amount`` (decimal text), all of it when empty."""

    account: int
    amount: str = ""


CreditCommand = SetCredit | ReviewCredit | WriteOff
