"""Cases on the working set: what is disputed is set aside, evidence is added, and the end gives it back or moves it.

While a case is open the amount lies in clearing, so that nobody is paid it. At its end all of that goes back, and what
is granted is a correction of the charge, by the same arithmetic that the amount was set aside by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from apportion.engine.correcting.decision import Standing, correct
from apportion.engine.credit.line import DISPUTED, disputed
from apportion.engine.disputes.claims import Claim, claim_of, numbered
from apportion.engine.sessions.waiters import wake
from apportion.engine.terms import Terms
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.ledger.booking import Movement, book
from apportion.ledger.chart import account_key
from apportion.model.account import Role
from apportion.model.command import Outcome
from apportion.model.correction import Correct, Resplit, Why
from apportion.model.dispute import (
    CASES_MOST,
    EVIDENCE_MOST,
    WORDS_MOST,
    AddEvidence,
    DecideDispute,
    DisputeCommand,
    DisputedLine,
    DisputeLine,
    DisputeState,
    Evidence,
    OpenDispute,
    WithdrawDispute,
    Words,
)
from apportion.model.ids import key_id
from apportion.model.journal import Leg
from apportion.money import Asset, Exact, Money
from apportion.money.exact import decimal_text
from apportion.ports import Key

DISPUTE, CASES = "dsp_", "dpc_"
CLEARING = "disputes"  # the owner of the clearing account
HOLD, RELEASE = "dispute-hold", "dispute-release"
OPEN, DECIDED, WITHDRAWN = (state.value for state in DisputeState)
_CASE, _CASES = msgspec.json.Decoder(DisputeLine), msgspec.json.Decoder(DisputedLine)


def dispute_id(reference: str) -> str:
    """``dsp_…`` of a reference; one case per reference for ever."""
    return key_id("dsp", proof.record_key("dispute", reference))


def cases_id(charge: str) -> str:
    """The id under which the books keep which cases there were about a charge."""
    return CASES + charge.partition("_")[2]


def entry_key(case: str, kind: str) -> Key:
    """The key of the entry that sets a case's amount aside, or gives it back."""
    return proof.record_key(kind, case)


def document_name(case: str, place: int) -> str:
    """What a piece of evidence is called beside the chain, counted from 1."""
    return f"{case}.{place}"


def dispute_of(work: Work, id: str) -> DisputeLine | None:
    """A case as it stands."""
    line = work.course(id) if id.startswith(DISPUTE) else b""
    return _CASE.decode(line) if line else None


class DisputeDecision(Unforeseen):
    """A DisputeCommand; ``decide`` answers with the id of the case, or of a piece of evidence."""

    def __init__(self, command: DisputeCommand, terms: Terms) -> None:
        self.command, self.terms = command, terms

    def people(self) -> list[str]:
        """The payer, if one is named."""
        payer = getattr(self.command, "payer", "")
        return [payer] if payer else []

    def decide(self, work: Work) -> Outcome:
        """Apply the command, or refuse it and change nothing."""
        command = self.command
        try:
            if isinstance(command, OpenDispute):
                return _open(work, self.terms, command)
            line = dispute_of(work, command.id)
            if line is None:
                raise _nothing()
            if isinstance(command, AddEvidence):
                return _add(work, command, line)
            return _withdraw(work, command, line) if isinstance(command, WithdrawDispute) else _end(work, command, line)
        except Refused as error:
            return Outcome(None, refusal=error.refusal)


def _nothing() -> Refused:
    return refuse(RefusalCode.NOT_FOUND, "there is no such record.", field="id")


# ── opening ──


def _open(work: Work, terms: Terms, command: OpenDispute) -> Outcome:
    """Open a case and set aside what it is about; once per reference."""
    claim, id = claim_of(work, terms, command), dispute_id(command.reference)
    known = dispute_of(work, id)
    if known is not None:
        if not _same(known, claim, command):
            raise refuse(
                RefusalCode.CONFLICT, "this reference was used before for another dispute.", field="reference",
                fix="Every dispute needs a reference of its own.",
            )  # fmt: skip
        return Outcome(None, id)
    claim.check()
    found = work.course(cases_id(command.charge))
    cases = _CASES.decode(found).cases if found else ()
    open_ = [line for name in cases if (line := dispute_of(work, name)) is not None and line.state == OPEN]
    if claim.account is None:
        claim.account = work.account(Role.PROVIDER, claim.provider, claim.standing.asset)
    account = claim.account
    if any(line.account == account.public for line in open_):
        raise refuse(
            RefusalCode.CONFLICT, "a case about this charge is open for the same party.", field="charge",
            fix="Add evidence to that one, or withdraw it first.",
        )  # fmt: skip
    if len(cases) >= CASES_MOST:
        raise refuse(RefusalCode.CONFLICT, f"there were {len(cases)} cases about this charge.", field="charge")
    asset = claim.standing.asset
    held = _set_aside(work, claim, open_)
    line = DisputeLine(
        id=id, n=1, charge=claim.standing.booked.id, account=account.public, asset=str(asset),
        amount=decimal_text(claim.atoms, asset.scale), state=OPEN, at=work.at, opened=work.at,
        provider=claim.provider, part=claim.part, against=claim.other,
        held=tuple(Leg(one.public, decimal_text(atoms, asset.scale)) for one, atoms in held),
    )  # fmt: skip
    if command.reason:
        line = replace(line, evidence=(_piece(work, line, account.public, ("", command.reason)),))
    about = DisputedLine(id=cases_id(line.charge), charge=line.charge, cases=(*cases, id))
    movements = [(one, -atoms) for one, atoms in held]
    _move(work, line, HOLD, movements, asset, about=lambda: (work.move(about),))
    return Outcome(None, id)


def _same(known: DisputeLine, claim: Claim, command: OpenDispute) -> bool:
    """Whether a case is what the command asks for; all that stands was meant, where it names no amount."""
    account = claim.account.public if claim.account is not None else ""
    asked = decimal_text(claim.asked, claim.standing.asset.scale) if claim.asked else known.amount
    mine = command.charge, account, claim.provider, claim.part, claim.other, asked
    return mine == (known.charge, known.account, known.provider, known.part, known.against, known.amount)


def _set_aside(work: Work, claim: Claim, open_: Sequence[DisputeLine]) -> list[Movement]:
    """What is taken from whom: no more than it earns of the charge, less what other cases hold of that already."""
    asset = claim.standing.asset
    left = claim.earned(work)
    for leg in (leg for line in open_ for leg in line.held):
        left[leg.account] = left.get(leg.account, 0) - Money.parse(leg.amount, asset).atoms
    taken = [(account, min(atoms, left.get(account.public, 0))) for account, atoms in claim.taken(work)]
    return [(account, atoms) for account, atoms in taken if atoms > 0]


def _move(
    work: Work,
    line: DisputeLine,
    kind: str,
    movements: Sequence[Movement],
    asset: Asset,
    *,
    about: Callable[[], Sequence[bytes]] = tuple,
) -> None:
    """A case that opens or ends, in one row with what is set aside or given back, and what that does to credit."""
    rows: list[bytes] = []
    key = entry_key(line.id, kind)
    if movements:
        moved = [*movements, (work.account(Role.CLEARING, CLEARING, asset), -sum(atoms for _, atoms in movements))]
        entry = book(key_id("ent", key), line.id, kind, work.at, (str(asset), asset.scale), moved)
        rows.append(encode(entry))
        work.touch_all(moved)
    payer, atoms = numbered(work, line.account), Money.parse(line.amount, asset).atoms
    if payer.role is Role.PAYER:
        before = work.total(payer.id, DISPUTED)
        work.set_total(payer.id, DISPUTED, before + Exact(atoms if line.state == OPEN else -atoms))
    credit = disputed(work, payer, atoms if line.state == OPEN else -atoms)
    if credit is not None:
        rows += credit.lines
        rows += wake(work, payer) if credit.raised else ()
    if movements:
        work.record(key, "done", b"", work.move(line), *about(), *rows)
    else:
        work.append(work.move(line), *about(), *rows)
    if credit is not None:
        credit.noted()


# ── evidence ──


def _piece(work: Work, line: DisputeLine, account: str, words: tuple[str, str], *, private: bool = False) -> Evidence:
    """Keep the words of a piece of evidence beside the chain; the chain has their digest."""
    title, text = words
    if len(line.evidence) >= EVIDENCE_MOST:
        raise refuse(
            RefusalCode.CONFLICT, f"the case has {EVIDENCE_MOST} pieces of evidence, which is all it takes.", field="id"
        )
    if not text.strip() or len(text) > WORDS_MOST:
        raise refuse(
            RefusalCode.BAD_INPUT, f"is empty, or longer than {WORDS_MOST:,} characters.", field="text",
            fix="Say it shorter, or in several pieces.",
        )  # fmt: skip
    body = encode(Words(line.id, text, work.chance().hex(), title))
    party = _party(work, line)
    work.writes.documents.append((document_name(line.id, len(line.evidence) + 1), party, body))
    return Evidence(account, work.at, proof.blake3(body).hexdigest(), private)


def _party(work: Work, line: DisputeLine) -> int:
    """Who must be forgotten for the words of a case to go: its payer, or the first one of the charge."""
    if not line.provider:
        return numbered(work, line.account).party
    shares = Standing.find(work, line.charge).booked.shares
    return numbered(work, shares[0].bearer).party if shares else 0


def _add(work: Work, command: AddEvidence, line: DisputeLine) -> Outcome:
    """Add a piece of evidence; the platform, or whoever the case is about."""
    account = ""
    if command.payer or command.provider:
        account = _account(work, command.payer, command.provider, line)
        if account not in (line.account, line.against, *(leg.account for leg in line.held)):
            raise _nothing()
    _still_open(line)
    piece = _piece(work, line, account, (command.title, command.text), private=command.private)
    more = replace(line, n=line.n + 1, at=work.at, evidence=(*line.evidence, piece))
    work.append(work.move(more))
    return Outcome(None, f"{line.id}.{len(more.evidence)}")


def _account(work: Work, payer: str, provider: str, line: DisputeLine) -> str:
    """The account of a party in the currency of a case; no name at all when there is none."""
    asset = _asset(work, line)
    found = work.payer(payer, asset) if payer else work.keyed(account_key(Role.PROVIDER, provider, str(asset)))
    return found.public if found is not None else "nobody"


def _asset(work: Work, line: DisputeLine) -> Asset:
    return next(asset for _, asset in work.names.assets.values() if str(asset) == line.asset)


def _still_open(line: DisputeLine) -> None:
    if line.state != OPEN:
        raise refuse(
            RefusalCode.CONFLICT, f"the case is {line.state}.", field="id", fix="Open another, under a new reference."
        )


# ── the end ──


def _end(work: Work, command: DecideDispute, line: DisputeLine) -> Outcome:
    """Decide a case, once: what is granted corrects the charge, and all that was set aside goes back."""
    asset = _asset(work, line)
    most = Money.parse(line.amount, asset).atoms
    atoms = Money.parse(command.granted, asset).atoms if command.granted else most
    if not 0 <= atoms <= most:
        raise refuse(
            RefusalCode.BAD_AMOUNT, f"{line.amount} {asset.code} is disputed.", field="granted",
            fix="Grant at most that, and 0 for nothing.",
        )  # fmt: skip
    if command.fault and (line.provider or not atoms):
        raise refuse(
            RefusalCode.BAD_INPUT, "nobody else can be at fault here.", field="fault",
            fix="Name one only where a payer is granted something.",
        )  # fmt: skip
    granted = decimal_text(atoms, asset.scale) if atoms else "0"
    if line.state == DECIDED and (granted, command.fault) == (line.granted, line.fault):
        return Outcome(None, line.id)
    _still_open(line)
    made = correct(work, _correction(work, command, line, granted)) if atoms else ""
    done = replace(line, n=line.n + 1, at=work.at, state=DECIDED, granted=granted, fault=command.fault, made=made)
    _give_back(work, done, asset)
    return Outcome(None, line.id)


def _correction(work: Work, command: DecideDispute, line: DisputeLine, granted: str) -> Correct | Resplit:
    why = Why.DISPUTE.value
    if not line.provider:
        return Correct(
            charge=line.charge, reference=line.id, amount=granted, payer=line.account, provider=command.fault,
            why=why, cause=line.id,
        )  # fmt: skip
    portions = Standing.find(work, line.charge).charge.portions
    against = next((one.provider for one in portions if line.against and one.account == line.against), "")
    return Resplit(
        charge=line.charge, reference=line.id, part=line.part, provider=line.provider, amount=granted,
        against=against, why=why, cause=line.id,
    )  # fmt: skip


def _withdraw(work: Work, command: WithdrawDispute, line: DisputeLine) -> Outcome:
    """End a case that its party gives up."""
    if command.payer or command.provider:
        if _account(work, command.payer, command.provider, line) != line.account:
            raise _nothing()
    if line.state == WITHDRAWN:
        return Outcome(None, line.id)
    _still_open(line)
    _give_back(work, replace(line, n=line.n + 1, at=work.at, state=WITHDRAWN), _asset(work, line))
    return Outcome(None, line.id)


def _give_back(work: Work, line: DisputeLine, asset: Asset) -> None:
    """Everybody has again what was set aside."""
    held = [(numbered(work, leg.account), Money.parse(leg.amount, asset).atoms) for leg in line.held]
    _move(work, line, RELEASE, held, asset)
