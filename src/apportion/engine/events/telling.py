"""Events out of the books: which lines tell something, to whom, and how much of it.

The journal is the outbox: an event is a line of it that a transaction has made durable together with its effect, so it
exists exactly when that does. Nothing is stored besides. Who hears of it sees what ``Sight`` lets it see, no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from blake3 import blake3

from apportion.engine.disputes.telling import dispute_told, dispute_view
from apportion.engine.query import Record
from apportion.engine.sessions.views import may_see, view
from apportion.engine.visible import Sight
from apportion.model.access import AccessRole
from apportion.model.card import CardLine, ChargebackLine, ProcessorPayoutLine, RefundLine
from apportion.model.charge import Charge
from apportion.model.credit import DunningLine, TrustLine
from apportion.model.dispute import DisputeLine
from apportion.model.event import Event
from apportion.model.funding import AllowanceLine, BucketLine, FundingLine
from apportion.model.journal import (
    AccountLine,
    CatalogLine,
    CloseLine,
    CreditLine,
    Entry,
    ForgetLine,
    HoldLine,
    ImportLine,
    Line,
    StatementLine,
    UsageLine,
)
from apportion.model.payment import PaymentLine
from apportion.model.session import SessionLine
from apportion.model.settlement import PayoutLine, SettlementLine
from apportion.money import Exact

Data = dict[str, Any]
#: a place in the books: a row, and a line within it; everything of the row when all bits below are set
SHIFT = 20
WHOLE = (1 << SHIFT) - 1


class Told(msgspec.Struct, frozen=True):
    """A line that tells something, before anybody looks at it.

    ``accounts`` are all that it concerns and ``about`` every id by which somebody may ask for it; ``record`` is the
    charge with its usage when it is one. ``view`` makes what a caller may see of it: None when that is nothing.
    """

    place: int
    id: str
    type: str
    at: str
    subject: str
    accounts: frozenset[str]
    about: frozenset[str]
    line: Any
    view: Callable[[Told, Sight], Data | None]
    record: Record | None = None

    def seen_by(self, sight: Sight) -> Event | None:
        """The event as a caller may see it; None when it is none of its business."""
        data = self.view(self, sight)
        if data is None:
            return None
        kind = self.type
        if kind == "account.charged" and sight.caller.role is AccessRole.PROVIDER:
            kind = "account.credited"  # the same charge from the other side
        mine = tuple(sorted(account for account in self.accounts if sight.may_see(account)))
        return Event(self.id, kind, self.subject, self.at, mine, {name: value for name, value in data.items() if value})


def place_of(n: int, index: int = WHOLE) -> int:
    """The place of a line in a row; without an index, that after the whole row."""
    return n << SHIFT | index


def tell(n: int, body: bytes, head: bytes, tags: frozenset[bytes]) -> Iterator[Told]:
    """What one journal row tells: ``head`` is the chain's head after it, ``tags`` are the kinds of line asked for.

    Pure: the same row tells the same for ever.
    """
    lines = body.split(b"\n")
    with_charge = b'"type":"charge"' in body
    for index, line in enumerate(lines):
        tag = line[9 : line.find(b'"', 9)]
        if tag not in tags or tag not in _KINDS or (with_charge and tag == b"entry" and _of_charge(line, body)):
            continue
        kind, read, look = _KINDS[tag]
        try:
            decoded = msgspec.json.decode(line, type=kind)
        except msgspec.MsgspecError:
            continue  # a damaged line tells nothing; it is for verify to name
        name, at, subject, accounts, about = read(decoded)
        if name:
            id = "evt_" + blake3(b"apportion event %b %d" % (head, index)).hexdigest(16)
            record = _record(n, lines, decoded) if isinstance(decoded, Charge) else None
            if record is not None:
                about = (*about, record.usage.source)  # the session that it is a slice of
            yield Told(
                place_of(n, index), id, name, at, subject, frozenset(accounts), frozenset((subject, *about)),
                decoded, look, record,
            )  # fmt: skip


def _of_charge(line: bytes, body: bytes) -> bool:
    """Whether an entry only says again what a charge in the same row says."""
    cause = line.find(b'"cause":"chg_')
    return cause >= 0 and b'"id":"' + line[cause + 9 : cause + 45] + b'"' in body


def _record(n: int, lines: list[bytes], charge: Charge) -> Record:
    """A charge with the usage and the entry that stand in its row."""
    usage = UsageLine(charge.usage, "", "", charge.service, charge.at, "charged", "")
    entry = None
    for line in lines:
        if line.startswith(b'{"type":"usage"') and charge.usage.encode() in line:
            usage = msgspec.json.decode(line, type=UsageLine)
        elif line.startswith(b'{"type":"entry"') and charge.id.encode() in line and entry is None:
            entry = msgspec.json.decode(line, type=Entry)
    return Record(n, usage, charge, entry)


# ── which line tells what: type, instant, subject, accounts, and other ids by which it is asked for ──

Read = tuple[str, str, str, Iterable[str], tuple[str, ...]]


def _charge(line: Charge) -> Read:
    accounts = [portion.account for portion in line.portions]
    for share in line.shares:
        accounts += [share.account, share.bearer]
    return "account.charged", line.at, line.id, accounts, (line.origin,)


def _usage(line: UsageLine) -> Read:
    name = {"pending": "usage.pending", "rejected": "usage.rejected"}.get(line.state, "")
    return name, line.start, line.key, [use.payer for use in line.payers], ()


def _entry(line: Entry) -> Read:
    name = "account.topped_up" if line.kind in ("topup", "opening") else "account.booked"
    return name, line.at, line.id, [leg.account for leg in line.legs], (line.cause,)


def _hold(line: HoldLine) -> Read:
    fresh = line.state == "open" and not (line.captured + line.released).strip("0.")
    name = "placed" if fresh else "captured" if line.state == "open" else line.state
    return f"hold.{name}", line.at, line.id, [line.account], (line.owner,)


def _session(line: SessionLine) -> Read:
    accounts = [payer.account for payer in line.payers] + [meter.account for meter in line.meters if meter.account]
    return f"session.{line.event}", line.at, line.id, accounts, ()


def _statement(line: StatementLine) -> Read:
    return f"{line.kind.replace('-', '_')}.issued", line.at, line.id, [line.account], (*line.covers, line.corrects)


def _credit(line: CreditLine) -> Read:
    return "credit.changed", line.at, line.account, [line.account], ()


def _funding(line: FundingLine) -> Read:
    return "funding.changed", line.at, line.id, [line.account], ()


def _payment(line: PaymentLine) -> Read:
    name = "late" if line.late and line.late == line.at else line.state
    return f"payment.{name}", line.at, line.id, [line.account], (line.cause,)


def _refund(line: RefundLine) -> Read:
    name = "late" if line.late and line.late == line.at else line.state
    return f"refund.{name}", line.at, line.id, [line.account], (line.payment,)


def _chargeback(line: ChargebackLine) -> Read:
    return f"chargeback.{line.state}", line.at, line.id, [line.account], (line.payment,)


def _card(line: CardLine) -> Read:
    return f"card.{line.state}", line.at, line.id, [line.account], ()


def _processor_payout(line: ProcessorPayoutLine) -> Read:
    return "processor.paid_out", line.at, line.id, (), ()


def _payout(line: PayoutLine) -> Read:
    name = "late" if line.late and line.late == line.at else line.state
    return f"payout.{name}", line.at, line.id, [*filter(None, (line.debtor, line.creditor))], (line.settlement,)


def _settlement(line: SettlementLine) -> Read:
    return "settlement.closed", line.at, line.id, (), ()


def _account(line: AccountLine) -> Read:
    return "account.opened", "", line.id, [line.id], ()


def _period(line: CloseLine) -> Read:
    return "period.closed", line.at, line.period, [line.account], ()


def _dunning(line: DunningLine) -> Read:
    return f"statement.{line.state.replace('-', '_')}", line.at, line.statement, [line.account], ()


def _trust(line: TrustLine) -> Read:
    return "trust.decided", line.at, line.id, [line.account], ()


def _bucket(line: BucketLine) -> Read:
    name = {"open": "opened"}.get(line.state, line.state)
    return f"bucket.{name}", line.at, line.id, [line.account, line.payer], (line.cause,)


def _allowance(line: AllowanceLine) -> Read:
    name = {"open": "changed"}.get(line.state, line.state)
    return f"allowance.{name}", line.at, line.id, [line.account, line.payer], (line.cause,)


def _catalog(line: CatalogLine) -> Read:
    return "catalog.applied", "", line.id, (), ()


def _import(line: ImportLine) -> Read:
    return "import.finished", line.at, line.id, (), ()


def _forget(line: ForgetLine) -> Read:
    return "party.forgotten", line.at, line.party, (), ()


# ── how much of it a caller sees ──


def _charge_view(told: Told, sight: Sight) -> Data | None:
    assert told.record is not None
    return msgspec.to_builtins(sight.charge_view(told.record)) if sight.concerns(told.record) else None


def _usage_view(told: Told, sight: Sight) -> Data | None:
    """Its payers, its providers, and who sent it; of why it waits they learn the code alone."""
    line: UsageLine = told.line
    caller = sight.caller
    sent = caller.role is AccessRole.PROVIDER and (
        line.source in caller.sources or any(part.provider == caller.party for part in line.parts)
    )
    if not (sight.all or sent or any(sight.may_see(account) for account in told.accounts)):
        return None
    return {
        "source": line.source, "record": line.id, "service": line.service, "reason": line.reason, "field": line.field,
    }  # fmt: skip


def _entry_view(told: Told, sight: Sight) -> Data | None:
    line: Entry = told.line
    about = {"cause": line.cause, "kind": line.kind, "currency": _currency(line.asset)}
    if sight.all:
        return {**about, "legs": msgspec.to_builtins(line.legs)}
    mine = [leg for leg in line.legs if sight.may_see(leg.account)]
    if not mine:
        return None
    return {**about, "amount": sum((Exact.parse(leg.amount) for leg in mine), Exact(0)).text()}


def _owned(*shown: str) -> Callable[[Told, Sight], Data | None]:
    """A line about somebody's account: the owner sees these fields of it, operators and auditors all."""

    def owned(told: Told, sight: Sight) -> Data | None:
        if not sight.all and not any(sight.may_see(account) for account in told.accounts):
            return None
        data = msgspec.to_builtins(told.line)
        if "asset" in data:
            data["currency"] = _currency(data.pop("asset"))
        for name in ("type", "id", "at", "account", "due", "mac"):
            data.pop(name, None)
        return data if sight.all else {name: data[name] for name in (*shown, "currency") if name in data}

    return owned


def _session_view(told: Told, sight: Sight) -> Data | None:
    line: SessionLine = told.line
    own = frozenset(sight.own)
    if not may_see(line, sight.caller, own):
        return None
    return msgspec.to_builtins(view(line, sight.terms(line.catalog), sight.caller, own))


def _operator_view(told: Told, sight: Sight) -> Data | None:
    if not sight.all:
        return None
    if isinstance(told.line, CatalogLine):
        return {"catalog": told.line.id}  # what it says is asked for by that
    data = msgspec.to_builtins(told.line)
    return {name: value for name, value in data.items() if name not in ("type", "id", "at")}


def _currency(asset: str) -> str:
    return asset.partition("/")[0]


View = Callable[[Told, Sight], Data | None]
_KINDS: dict[bytes, tuple[type[Line] | type[Charge], Callable[[Any], Read], View]] = {
    b"account": (AccountLine, _account, _owned("role", "credit")),
    b"allowance": (
        AllowanceLine, _allowance, _owned("name", "measure", "units", "left", "price", "expires", "services", "state"),
    ),
    b"bucket": (BucketLine, _bucket, _owned("name", "amount", "priority", "expires", "services", "state")),
    b"card": (CardLine, _card, _owned("state", "processor", "reason")),
    b"card-refund": (RefundLine, _refund, _owned("payment", "amount", "state", "reason")),
    b"catalog": (CatalogLine, _catalog, _operator_view),
    b"charge": (Charge, _charge, _charge_view),
    b"chargeback": (ChargebackLine, _chargeback, _owned("payment", "amount", "taken", "state", "reason")),
    b"close": (CloseLine, _period, _owned("period", "charged", "adjusted")),
    b"credit": (CreditLine, _credit, _owned("credit", "reason")),
    b"dispute": (DisputeLine, dispute_told, dispute_view),
    b"dunning": (DunningLine, _dunning, _owned("state", "step", "open")),
    b"entry": (Entry, _entry, _entry_view),
    b"forget": (ForgetLine, _forget, _operator_view),
    b"funding": (FundingLine, _funding, _owned("topup", "topup_limit")),
    b"hold": (HoldLine, _hold, _owned("owner", "state", "amount", "open", "captured", "released", "expires")),
    b"import": (ImportLine, _import, _operator_view),
    b"payment": (PaymentLine, _payment, _owned("amount", "state", "cause", "requested", "reason")),
    b"payout": (PayoutLine, _payout, _owned("settlement", "amount", "by", "state", "requested", "reference", "reason")),
    b"processor-payout": (ProcessorPayoutLine, _processor_payout, _operator_view),
    b"session": (SessionLine, _session, _session_view),
    b"settlement": (SettlementLine, _settlement, _operator_view),
    b"statement": (StatementLine, _statement, _owned(
        "number", "kind", "period", "opening", "charges", "payments", "closing", "total", "start", "end",
        "provider", "covers", "corrects",
    )),
    b"trust": (TrustLine, _trust, _owned("credit")),
    b"usage": (UsageLine, _usage, _usage_view),
}  # fmt: skip
#: what each kind of line can tell; a trailing dot stands for whatever the line says
TYPES: dict[bytes, tuple[str, ...]] = {
    b"account": ("account.opened",),
    b"allowance": ("allowance.changed", "allowance.used", "allowance.ended"),
    b"bucket": ("bucket.opened", "bucket.ended"),
    b"card": ("card.asked", "card.saved", "card.failed", "card.removed"),
    b"card-refund": ("refund.created", "refund.sent", "refund.unknown", "refund.succeeded", "refund.failed"),
    b"catalog": ("catalog.applied",),
    b"charge": ("account.charged", "account.credited"),
    b"chargeback": ("chargeback.open", "chargeback.won", "chargeback.lost"),
    b"close": ("period.closed",),
    b"credit": ("credit.changed",),
    b"dispute": ("dispute.opened", "dispute.evidence", "dispute.decided", "dispute.withdrawn"),
    b"dunning": ("statement.reminder", "statement.paid", "statement.written_off"),
    b"entry": ("account.topped_up", "account.booked"),
    b"forget": ("party.forgotten",),
    b"funding": ("funding.changed",),
    b"hold": ("hold.placed", "hold.captured", "hold.released", "hold.expired"),
    b"import": ("import.finished",),
    b"payment": ("payment.created", "payment.sent", "payment.unknown", "payment.succeeded", "payment.failed"),
    b"payout": ("payout.created", "payout.sent", "payout.unknown", "payout.succeeded", "payout.failed", "payout.late"),
    b"processor-payout": ("processor.paid_out",),
    b"session": ("session.",),
    b"settlement": ("settlement.closed",),
    b"statement": ("statement.issued", "remittance.issued", "credit_note.issued"),
    b"trust": ("trust.decided",),
    b"usage": ("usage.pending", "usage.rejected"),
}
SEE = "docs/how-to/events-and-webhooks.md lists all types."
_PATTERN = re.compile(r"[a-z_]+\.(\*|[a-z_]+)")


def fits(type: str, wanted: Iterable[str]) -> bool:
    """Whether an event's type is among those wanted (``session.*`` wants all of its kind); nothing named wants all."""
    wanted = tuple(wanted)
    return not wanted or any(type == one or (one.endswith(".*") and type.startswith(one[:-1])) for one in wanted)


def tags_of(wanted: Iterable[str]) -> frozenset[bytes]:
    """The kinds of line that can tell what is wanted."""
    wanted = tuple(wanted)
    return frozenset(
        tag
        for tag, types in TYPES.items()
        if any(fits(type, wanted) or (type[-1] == "." and any(w.startswith(type) for w in wanted)) for type in types)
    )


def known_type(text: str) -> bool:
    """Whether a type, or a ``kind.*``, can ever be told."""
    return bool(_PATTERN.fullmatch(text)) and bool(tags_of([text]))
