"""What can go wrong, as values and as a few exceptions.

Expected outcomes are values: a ``Refusal`` names the code, the field and the fix. Verbs that answer one
caller raise it wrapped in ``Refused``; a batch collects refusals beside its results and goes on.

    ApportionError
    ├── Refused            the request is understood and declined; carries the Refusal
    ├── NotFound           no record has this id
    ├── Conflict           the same key or id was used before with other content
    ├── StoreUnavailable   the store is locked, full, or newer than this program
    │   └── Unwritten      nothing of a group is in the books: it must be decided again
    ├── ProviderFailed     a provider did not answer or answered nonsense
    └── Misconfigured      a setting or catalog contradicts itself
"""

from __future__ import annotations

import enum

import msgspec


class RefusalCode(enum.Enum):
    """Why something was declined, in order of precedence: the first that applies is reported."""

    BAD_INPUT = "bad_input"
    UNKNOWN_FIELD = "unknown_field"
    BAD_AMOUNT = "bad_amount"
    BAD_QUANTITY = "bad_quantity"
    BAD_WEIGHT = "bad_weight"
    BAD_TIME = "bad_time"
    OVERFLOW = "overflow"
    ASSET_MISMATCH = "asset_mismatch"
    UNKNOWN_ASSET = "unknown_asset"
    CATALOG_INVALID = "catalog_invalid"
    UNKNOWN_SERVICE = "unknown_service"
    UNKNOWN_PART = "unknown_part"
    UNKNOWN_PROVIDER = "unknown_provider"
    UNKNOWN_PAYER = "unknown_payer"
    UNKNOWN_TARIFF = "unknown_tariff"
    NO_PRICE = "no_price"
    NO_RATE = "no_rate"
    MEASURE_MISSING = "measure_missing"
    SPONSOR_NEEDED = "sponsor_needed"
    MARGIN_GUARD = "margin_guard"
    CONFLICT = "conflict"
    PERIOD_CLOSED = "period_closed"
    PERIOD_OPEN = "period_open"
    HOLD_ENDED = "hold_ended"
    SESSION_CLOSED = "session_closed"
    COUNTER_DECREASED = "counter_decreased"
    PLAN_ENDED = "plan_ended"
    NO_PLAN = "no_plan"
    DECLINED = "declined"
    PAYMENT_LIMIT = "payment_limit"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    NOT_FOUND = "not_found"


#: code → (HTTP status, exit code, the sentence a person reads when nothing more precise is known)
OUTCOMES: dict[RefusalCode, tuple[int, int, str]] = {
    RefusalCode.BAD_INPUT: (422, 1, "The input could not be read."),
    RefusalCode.UNKNOWN_FIELD: (422, 1, "The input has a field that is not known here."),
    RefusalCode.BAD_AMOUNT: (422, 1, "The amount is not a plain decimal number."),
    RefusalCode.BAD_QUANTITY: (422, 1, "The quantity is not a number that can be charged."),
    RefusalCode.BAD_WEIGHT: (422, 1, "The weights can not be shared by."),
    RefusalCode.BAD_TIME: (422, 1, "The time is not an RFC 3339 instant."),
    RefusalCode.OVERFLOW: (422, 1, "The amount does not fit into 63 bits of atoms."),
    RefusalCode.ASSET_MISMATCH: (422, 1, "Amounts of different assets can not be mixed."),
    RefusalCode.UNKNOWN_ASSET: (422, 1, "The asset is not a known currency; write it with its scale, as XYZ/4."),
    RefusalCode.CATALOG_INVALID: (422, 1, "The catalog has errors."),
    RefusalCode.UNKNOWN_SERVICE: (422, 1, "The catalog has no such service."),
    RefusalCode.UNKNOWN_PART: (422, 1, "The service has no such part."),
    RefusalCode.UNKNOWN_PROVIDER: (422, 1, "The catalog has no such provider for this part."),
    RefusalCode.UNKNOWN_PAYER: (422, 1, "Nobody of this name may pay."),
    RefusalCode.UNKNOWN_TARIFF: (422, 1, "The catalog has no such tariff."),
    RefusalCode.NO_PRICE: (422, 1, "No price is in force for this use."),
    RefusalCode.NO_RATE: (422, 1, "No exchange rate is in force for this use."),
    RefusalCode.MEASURE_MISSING: (422, 1, "A quantity that the tariff prices is missing."),
    RefusalCode.SPONSOR_NEEDED: (409, 1, "Nobody pays for this use and no sponsor is named."),
    RefusalCode.MARGIN_GUARD: (409, 1, "The fee is less than what the providers cost."),
    RefusalCode.CONFLICT: (409, 1, "The same id was used before with other content."),
    RefusalCode.PERIOD_CLOSED: (409, 1, "The period is closed."),
    RefusalCode.PERIOD_OPEN: (409, 1, "The period has not ended yet."),
    RefusalCode.HOLD_ENDED: (409, 1, "The hold has ended."),
    RefusalCode.SESSION_CLOSED: (409, 1, "The session has been closed."),
    RefusalCode.COUNTER_DECREASED: (409, 1, "A counter was higher before."),
    RefusalCode.PLAN_ENDED: (409, 1, "The plan, or what it was made of, is no longer to be had."),
    RefusalCode.NO_PLAN: (409, 1, "Nothing that is offered fits the request."),
    RefusalCode.DECLINED: (402, 1, "The request can not be served on credit."),
    RefusalCode.PAYMENT_LIMIT: (409, 1, "Payments would pass the payer's limit."),
    RefusalCode.INSUFFICIENT_FUNDS: (402, 1, "The account does not have the value."),
    RefusalCode.NOT_FOUND: (404, 1, "No record has this id."),
}


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """One declined request or record: ``code``, the ``field`` at fault, what is wrong, how to mend it."""

    code: RefusalCode
    message: str = ""
    field: str = ""
    fix: str = ""
    where: str = ""

    def sentence(self) -> str:
        """The refusal as one line for a person: place, field, what is wrong, and the next step."""
        place = f"{self.where}: " if self.where else ""
        field = f"{self.field}: " if self.field else ""
        fix = f" {self.fix}" if self.fix else ""
        return f"{place}{field}{self.message or OUTCOMES[self.code][2]}{fix}"


class ApportionError(Exception):
    """Any error that this package raises on purpose."""


class Refused(ApportionError):
    """The request is understood and declined; ``refusal`` says why and what to do."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence())
        self.refusal = refusal


class NotFound(ApportionError):
    """No record has this id."""


class Conflict(ApportionError):
    """The same key or id was used before with other content."""


class StoreUnavailable(ApportionError):
    """The store is locked by another process, full, damaged, or newer than this program."""


class Unwritten(StoreUnavailable):
    """Nothing of the group is in the books: the turn or the connection was lost. Decide it again."""


class ProviderFailed(ApportionError):
    """A provider did not answer in time or answered nonsense."""


class Misconfigured(ApportionError):
    """A setting or a catalog contradicts itself; ``refusals`` lists every finding."""

    def __init__(self, message: str, refusals: tuple[Refusal, ...] = ()) -> None:
        super().__init__(message)
        self.refusals = refusals


def refuse(code: RefusalCode, message: str, *, field: str = "", fix: str = "") -> Refused:
    """Build the exception for a refusal; the caller writes ``raise refuse(…)``."""
    return Refused(Refusal(code=code, message=message, field=field, fix=fix))
