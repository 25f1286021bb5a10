"""A correction, decided and booked: a charge of its own, its entry, and how the corrected charge stands then."""

from __future__ import annotations

import msgspec

from apportion.engine.correcting.booking import book_made
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.model.account import Role
from apportion.model.charge import Charge
from apportion.model.command import Outcome
from apportion.model.correction import Correct, CorrectedLine, CorrectionCommand, Resplit, Why
from apportion.model.ids import key_id, read_key
from apportion.model.journal import UsageLine
from apportion.money import Asset, Money
from apportion.ports import Key
from apportion.stages.rate.correct import borne_of, combine, give_back, resplit

LABELS = {Why.REFUND: "refund", Why.DISPUTE: "dispute", Why.PRICE: "price correction", Why.SHARE: "share correction"}
_CORRECTED = msgspec.json.Decoder(CorrectedLine)
_CHARGE = msgspec.json.Decoder(Charge)
_USAGE = msgspec.json.Decoder(UsageLine)


class CorrectionDecision(Unforeseen):
    """A CorrectionCommand; ``decide`` answers with the id of the charge that corrects."""

    def __init__(self, command: CorrectionCommand) -> None:
        self.command = command

    def keys(self) -> tuple[Key, ...]:
        """The key of the reference."""
        return (correction_key(self.command.reference),)

    def decide(self, work: Work) -> Outcome:
        """Book the correction, or say why not; nothing changes unless it is booked whole."""
        try:
            return Outcome(None, correct(work, self.command))
        except Refused as error:
            return Outcome(None, refusal=error.refusal)


def correction_key(reference: str) -> Key:
    """The key of a correction: one per reference for ever."""
    return proof.record_key("correction", reference)


def corrected_id(charge: str) -> str:
    """The id under which the books keep how a charge stands."""
    return f"cor_{charge.partition('_')[2]}"


def correct(work: Work, command: CorrectionCommand) -> str:
    """Book a correction; the id of the charge that corrects, which a repeated reference finds again.

    Raises:
        Refused: NOT_FOUND; BAD_AMOUNT above what stands; BAD_INPUT for what can not be corrected; UNKNOWN_PAYER,
            UNKNOWN_PROVIDER who has no part in it; CONFLICT for a reference that was used otherwise.
    """
    key = correction_key(command.reference)
    digest = proof.blake3(encode(command)).digest(8)
    if work.made(key, digest, "correction") is not None:
        return key_id("chg", key)
    standing = Standing.find(work, command.charge)
    made = _made(work, command, standing)
    book_correction(work, key, digest, standing, made, _told(command))
    return key_id("chg", key)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the books say of a correction besides its amounts."""

    reference: str
    why: str
    cause: str = ""
    payer: str = ""
    provider: str = ""


class Standing(msgspec.Struct):
    """A charge as it stands, with all its corrections: ``line`` is the last of them, if there were any."""

    charge: Charge
    asset: Asset
    booked: Charge
    usage: UsageLine | None = None
    line: CorrectedLine | None = None

    @classmethod
    def find(cls, work: Work, id: str) -> Standing:
        """The charge of an id as it stands.

        Raises:
            Refused: NOT_FOUND; BAD_INPUT for what corrects another charge itself, or gives back.
        """
        seen = work.known(read_key(id)) if id.startswith("chg_") else None
        usage, charge = charge_in(_row(work, seen.n), id) if seen is not None else (None, None)
        if charge is None:
            raise refuse(RefusalCode.NOT_FOUND, f"there is no charge {id[:60]!r}.", field="charge")
        if charge.origin and not charge.origin.startswith("close "):
            raise refuse(
                RefusalCode.BAD_INPUT, f"{id} corrects {charge.origin}.", field="charge", fix="Correct that one again."
            )
        if charge.total.startswith("-"):
            raise refuse(RefusalCode.BAD_INPUT, f"{id} gives back itself.", field="charge")
        asset = next(asset for _, asset in work.names.assets.values() if asset.code == charge.currency)
        found = work.course(corrected_id(id))
        line = _CORRECTED.decode(found) if found else None
        return cls(line.standing if line is not None else charge, asset, charge, usage, line)


def charge_in(body: bytes, id: str) -> tuple[UsageLine | None, Charge | None]:
    """A charge in a row of the books, with the usage line before it."""
    mark = b'"id":"' + id.encode() + b'"'
    usage = b""
    for raw in body.split(b"\n"):
        if raw.startswith(b'{"type":"usage"'):
            usage = raw
        elif raw.startswith(b'{"type":"charge"'):
            if mark in raw[:80]:
                return (_USAGE.decode(usage) if usage else None), _CHARGE.decode(raw)
            usage = b""
    return None, None


def _row(work: Work, n: int) -> bytes:
    """A row of the books, which may be one of this group's own."""
    return next((body for at, body, _ in work.writes.journal if at == n), b"") or work.row(n)


def _made(work: Work, command: CorrectionCommand, standing: Standing) -> Charge:
    asset, label = standing.asset, LABELS[Why(command.why)]
    if isinstance(command, Resplit):
        known = [p for p in standing.charge.portions if (p.part, p.provider) == (command.part, command.provider)]
        account = known[0].account if known else work.account(Role.PROVIDER, command.provider, asset).public
        to = (command.part, command.provider, account)
        atoms = Money.parse(command.amount, asset).atoms
        return resplit(standing.charge, asset, to, atoms, command.against, label=label)
    borne = borne_of(standing.charge, asset)
    most = borne.get(command.payer, 0) if command.payer else sum(borne.values())
    atoms = Money.parse(command.amount, asset).atoms if command.amount else most
    return give_back(standing.charge, asset, atoms, command.payer, command.provider, label=label)


def _told(command: CorrectionCommand) -> Told:
    payer = command.payer if isinstance(command, Correct) else ""
    return Told(
        reference=command.reference, why=command.why, cause=command.cause, payer=payer, provider=command.provider
    )


def book_correction(work: Work, key: Key, digest: bytes, standing: Standing, made: Charge, told: Told) -> None:
    """Write a correction's charge, its entry, and how the corrected charge stands then, as one row."""
    id = key_id("chg", key)
    made = msgspec.structs.replace(made, id=id, origin=standing.booked.id)
    before, asset = standing.line, standing.asset
    line = CorrectedLine(
        id=corrected_id(standing.booked.id), charge=standing.booked.id, n=before.n + 1 if before else 1, at=work.at,
        why=told.why, made=id, reference=told.reference, standing=combine(standing.charge, made, asset),
        cause=told.cause, payer=told.payer, provider=told.provider,
        was=None if before else standing.booked, usage=None if before else standing.usage,
    )  # fmt: skip
    book_made(work, key, digest, made, asset, line)
