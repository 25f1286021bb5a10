"""What a catalog says of credit: policies that make sense, one per currency, and one for everybody who opts in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from apportion.errors import Refused
from apportion.model.catalog import Catalog
from apportion.model.credit import Dunning, TrustPolicy
from apportion.model.party import Payer, UnknownPayers
from apportion.money import Exact, Money, parse_asset

_DAYS_MAX = 3660
Finding = tuple[str, str, str]  # where, what is wrong, how to mend it


def check_credit(catalog: Catalog) -> Iterator[Finding]:
    """Everything about trust and dunning that contradicts itself."""
    seen: set[str] = set()
    for i, policy in enumerate(catalog.trust):
        where = f"trust[{i}]"
        if policy.currency in seen:
            yield f"{where}.currency", f"{policy.currency} has two policies.", "Keep one."
        seen.add(policy.currency)
        for field, message, fix in _policy(policy, catalog.currencies):
            yield f"{where}.{field}", message, fix
    payers: list[tuple[str, Payer | UnknownPayers | None]] = [(f"payers.{n}", p) for n, p in catalog.payers.items()]
    for where, payer in [*payers, ("unknown_payers", catalog.unknown_payers)]:
        if payer is not None and payer.trust and payer.currency not in seen:
            fix = f'Add a [[trust]] table with currency = "{payer.currency}", or drop trust here.'
            yield f"{where}.trust", f"there is no trust policy for {payer.currency}.", fix
    if catalog.trust_model is not None and not catalog.trust:
        yield "trust_model", "has no policy to serve.", "Add a [[trust]] table, or drop the model."
    if catalog.dunning is not None:
        for field, message, fix in _dunning(catalog.dunning):
            yield f"dunning.{field}", message, fix


def _policy(policy: TrustPolicy, scales: dict[str, int]) -> Iterator[Finding]:
    code, slash, _ = policy.currency.partition("/")
    scale = scales.get(code)
    try:
        asset = parse_asset(code if scale is None else f"{code}/{scale}", store=True)
    except Refused as refused:
        yield "currency", refused.refusal.message, refused.refusal.fix
        return
    if slash:
        yield "currency", "must be a code alone.", f"Write {code}; the table currencies sets its scale."
    amounts = {}
    for field, text in (("cap", policy.cap), ("starting", policy.starting)):
        try:
            amounts[field] = Money.parse(text, asset).atoms
        except Refused as refused:
            yield field, refused.refusal.message, refused.refusal.fix
            continue
        if amounts[field] < 0:
            yield field, f"{text} is negative.", "Use zero or more."
    if len(amounts) == 2 and amounts["starting"] > amounts["cap"]:
        yield "starting", f"{policy.starting} is more than the cap {policy.cap}.", "Correct one of them."
    for field, text in (("share", policy.share), ("minimum_score", policy.minimum_score)):
        try:
            number = Exact.parse(text)
        except Refused as refused:
            yield field, refused.refusal.message, refused.refusal.fix
            continue
        if not Exact(0) <= number <= Exact(1):
            yield field, f"{text} is not 0 to 1.", "Write a number of 0 to 1."
    if not 1 <= policy.minimum_months <= policy.months <= 60:
        yield "months", "1 ≤ minimum_months ≤ months ≤ 60 does not hold.", "Correct one of them."


def _dunning(rules: Dunning) -> Iterator[Finding]:
    for field, days in (("due_days", rules.due_days), ("write_off", rules.write_off)):
        if not 0 <= days <= _DAYS_MAX:
            yield field, f"{days} is not 0 to {_DAYS_MAX}.", "Write a number of days."
    if any(not 0 <= days <= _DAYS_MAX for days in rules.reminders) or any(a >= b for a, b in pairwise(rules.reminders)):
        yield "reminders", "are days after the due date, each more than the one before.", "Such as [3, 10]."
    if rules.write_off and rules.reminders and rules.write_off <= rules.reminders[-1]:
        yield "write_off", "does not come after the last reminder.", "Give the payer time to answer it."
    if not 1 <= rules.day <= 86_400:
        yield "day", f"{rules.day} seconds are no day.", "Leave it out; a trial may use 1 to 86400."
