"""Buckets and allowances: value with a purpose, granted or bought once, and what becomes of it when its time is up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from apportion.engine.funding.purse import Purse, funding_of, move_funding, stock_of, stocks
from apportion.engine.sessions.waiters import wake
from apportion.engine.terms import Terms
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.ledger.booking import Movement, book, merge
from apportion.model.account import Account, Role
from apportion.model.command import BuyAllowance, Grant, Lapse, Outcome
from apportion.model.funding import AllowanceLine, BucketLine, FundingLine
from apportion.model.ids import key_id, number_id, read_number
from apportion.money import Exact, Money
from apportion.money.exact import decimal_text
from apportion.ports import Key
from apportion.stages.credit.funding import lapsed

SPONSOR, BREAKAGE = "marketing", "breakage"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_LATER = timedelta(minutes=1)  # when a hold keeps an expired bucket from ending, it is looked at again
_PLACES, _MOST = 12, 10**18  # decimals of units, and how many there may be
_SPACE = proof.blake3(b"apportion buckets and allowances").digest()


class StockDecision(Unforeseen):
    """A command about one bucket or allowance; ``decide`` answers with the id of the record it made."""

    def __init__(self, command: Grant | BuyAllowance | Lapse, terms: Terms) -> None:
        self.command, self.terms = command, terms
        self.kind = "gra" if isinstance(command, Grant) else "buy"
        self.key = b"" if isinstance(command, Lapse) else _key(self.kind, command.reference)

    def keys(self) -> tuple[Key, ...]:
        """Dedup keys to look up."""
        return (self.key,) if self.key else ()

    def people(self) -> list[str]:
        """Names of payers to look up."""
        return [] if isinstance(self.command, Lapse) else [self.command.payer]

    def decide(self, work: Work) -> Outcome:
        """Apply the command, or refuse it and change nothing."""
        command = self.command
        try:
            if isinstance(command, Lapse):
                return _lapse(work, command.id)
            command = msgspec.structs.replace(command, expires=_instant(command.expires))
            digest = proof.blake3(encode(command)).digest(8)
            if work.made(self.key, digest, "grant and every allowance") is None:
                payer = self._payer(work, command)
                if isinstance(command, Grant):
                    return self._grant(work, command, payer, digest)
                return self._buy(work, command, payer, digest)
            return Outcome(None, key_id(self.kind, self.key))
        except Refused as error:
            return Outcome(None, refusal=error.refusal)

    def _payer(self, work: Work, command: Grant | BuyAllowance) -> Account:
        services = self.terms.catalog.services
        account = work.payer(command.payer, self.terms.asset(command.currency))
        if account is None:
            raise refuse(
                RefusalCode.UNKNOWN_PAYER,
                f"no account in {command.currency} is open for this payer.",
                field="payer",
                fix="Add the payer to the catalog and apply it.",
            )
        for name in command.services:
            if name not in services:
                fix = "One of " + ", ".join(list(services)[:8]) + "."
                raise refuse(RefusalCode.UNKNOWN_SERVICE, f"there is no {name[:60]!r}.", field="services", fix=fix)
        if isinstance(command, BuyAllowance):
            known = {measure for name in command.services or services for measure in services[name].measures}
            if command.measure not in known:
                fix = "One of " + ", ".join(sorted(known)[:8]) + "."
                raise refuse(RefusalCode.MEASURE_MISSING, "no service measures this.", field="measure", fix=fix)
        if command.expires and command.expires <= work.at:
            raise refuse(RefusalCode.BAD_TIME, "has passed.", field="expires", fix="Name an instant to come.")
        return account

    def _grant(self, work: Work, command: Grant, payer: Account, digest: bytes) -> Outcome:
        key, asset = self.key, work.asset_of(payer)
        amount = Money.parse(command.amount, asset)
        if amount.atoms <= 0:
            raise refuse(RefusalCode.BAD_AMOUNT, "a grant must be above zero.", field="amount")
        if not 0 <= command.priority <= 999:
            raise refuse(RefusalCode.BAD_INPUT, "is not 0 to 999.", field="priority")
        if command.funded not in ("cash", "sponsor"):
            raise refuse(RefusalCode.BAD_INPUT, "is neither cash nor sponsor.", field="funded")
        account, name = _stored(work, payer, Role.BUCKET, command.name, key)
        given = command.funded == "sponsor"
        giver = work.account(Role.SPONSOR, SPONSOR, asset) if given else work.account(Role.CASH, "outside", asset)
        movements = [(giver, -amount.atoms), (account, amount.atoms)]
        line = BucketLine(
            id=number_id("bkt", account.id), due=command.expires, account=account.public, payer=payer.public,
            at=work.at, asset=str(asset), name=name, amount=decimal_text(amount.atoms, asset.scale),
            priority=command.priority, expires=command.expires, services=command.services,
            sponsor=giver.public if given else "", cause=key_id(self.kind, key),
        )  # fmt: skip
        entry = _entry(work, key, line.cause, "grant", movements)
        listed = _listed(work, payer, bucket=line.id)
        work.record(key, "done", digest, entry, *listed, work.move(line), *wake(work, payer))
        return Outcome(None, line.cause, total=amount.atoms)

    def _buy(self, work: Work, command: BuyAllowance, payer: Account, digest: bytes) -> Outcome:
        key, asset = self.key, work.asset_of(payer)
        price = Money.parse(command.price, asset, field="price")
        units = Exact.parse(command.units, field="units", exponent=False)
        if price.atoms < 0:
            raise refuse(RefusalCode.BAD_AMOUNT, "is below zero.", field="price")
        if units.num <= 0 or (units * Exact(10**_PLACES)).reduced().den != 1 or units.ceil() > _MOST:
            fix = f"A number above zero with at most {_PLACES} decimals."
            raise refuse(RefusalCode.BAD_QUANTITY, "is no number of units.", field="units", fix=fix)
        purse = Purse(work, payer)
        draws = purse.draw(price.atoms)
        account, name = _stored(work, payer, Role.DEFERRED, command.name, key)
        paid = decimal_text(price.atoms, asset.scale)
        line = AllowanceLine(
            id=number_id("alw", account.id), due=command.expires, account=account.public, payer=payer.public,
            at=work.at, asset=str(asset), name=name, measure=command.measure, units=units.text(), left=units.text(),
            price=paid, deferred=paid, expires=command.expires, services=command.services,
            cause=key_id(self.kind, key),
        )  # fmt: skip
        lines: list[bytes] = []
        movements = merge([*((draw.account, -draw.atoms) for draw in draws), (account, price.atoms)])
        if movements:
            lines = [_entry(work, key, line.cause, "allowance", movements), *purse.counted(draws)]
        listed = _listed(work, payer, allowance=line.id)
        work.record(key, "done", digest, *lines, *listed, work.move(line), *wake(work, payer))
        return Outcome(None, line.cause, total=price.atoms)


def _instant(text: str) -> str:
    """An expiry in the one form in which instants are compared; empty stays empty.

    Raises:
        Refused: BAD_TIME.
    """
    try:
        when = datetime.fromisoformat(text) if text else None
        if when is None:
            return ""
        if when.tzinfo is not None and 1970 <= when.year < 9000:
            return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except ValueError:
        pass
    raise refuse(RefusalCode.BAD_TIME, "is not an instant.", field="expires", fix="Such as 2030-01-31T18:00:00Z.")


def _key(kind: str, reference: str) -> Key:
    """The key of a reference; it can not be that of a usage record, whatever its source is called."""
    return bytes.fromhex(proof.personal_mac(_SPACE, f"{kind}\x00{reference}"))


def _entry(work: Work, key: Key, cause: str, kind: str, movements: Sequence[Movement]) -> bytes:
    asset = work.asset_of(movements[0][0])
    entry = book(key_id("ent", key), cause, kind, work.at, (str(asset), asset.scale), movements)
    work.touch_all(movements)
    return encode(entry)


def _stored(work: Work, payer: Account, role: Role, name: str, key: Key) -> tuple[Account, str]:
    """A new account of a payer, and its name; by default one that the reference makes.

    Raises:
        Refused: CONFLICT when the payer has one of this name, BAD_INPUT when it can be no name.
    """
    name = name or key.hex()[:12]
    if not _NAME.fullmatch(name):
        fix = "Use up to 64 of a-z, 0-9 and ._-, beginning with a letter or digit."
        raise refuse(RefusalCode.BAD_INPUT, "can not be a name here.", field="name", fix=fix)
    account = work.own_account(payer, role, name)
    if work.course(number_id("bkt" if role is Role.BUCKET else "alw", account.id)):
        fix = "Give every bucket and every allowance a name of its own."
        raise refuse(RefusalCode.CONFLICT, f"this payer has one called {name!r}.", field="name", fix=fix)
    return account, name


def _listed(work: Work, payer: Account, *, bucket: str = "", allowance: str = "") -> list[bytes]:
    """A new bucket or allowance among what a payer may draw; those that are empty for good leave the list."""
    line = funding_of(work, payer.id)
    if line is None:
        line = FundingLine(id=number_id("fund", payer.id), account=payer.public, at=work.at)
    lines: list[bytes] = []
    buckets = []
    for one in stocks(work, line.buckets):
        account = work.numbered(read_number(one.id))
        if one.state == "open" and not account.posted and not account.held:
            lines.append(work.move(msgspec.structs.replace(one, state="ended", due="", at=work.at)))
        elif one.state == "open":
            buckets.append(one.id)
    allowances = [one.id for one in stocks(work, line.allowances) if one.state == "open"]
    now = msgspec.structs.replace(
        line,
        buckets=(*buckets, *([bucket] if bucket else [])),
        allowances=(*allowances, *([allowance] if allowance else [])),
    )
    return [*lines, move_funding(work, now)]


def _lapse(work: Work, id: str) -> Outcome:
    """What is left of a bucket or allowance whose time is up goes to the platform, or back to the sponsor.

    What holds set aside stays until they end, and what sessions reserved; meanwhile nothing new is drawn.
    """
    stored = work.course(id)
    line = stock_of(stored) if stored else None
    if line is None or line.state != "open" or not line.due or line.due > work.at:
        return Outcome(None, id)
    account = work.numbered(read_number(id))
    room = account.posted - account.held
    later = _instant((datetime.fromisoformat(work.at) + _LATER).isoformat())
    held = account.held > 0
    asset = work.asset_of(account)
    if isinstance(line, AllowanceLine):
        rest, room = lapsed(line, asset)
        now: BucketLine | AllowanceLine = msgspec.structs.replace(rest, at=work.at)
        held = rest.state == "open"
    else:
        ends = {"at": work.at, "due": later if held else "", "state": "open" if held else "ended"}
        now = msgspec.structs.replace(line, **ends)
    again = f"\x00{line.lapsed}" if isinstance(line, AllowanceLine) and line.lapsed != "0" else ""
    entry, key = b"", _key("lapse", f"{id}\x00{work.at}{again}")
    if room > 0:
        if isinstance(line, BucketLine) and line.sponsor:
            taker, kind = work.numbered(read_number(line.sponsor)), "returned"
        else:
            taker, kind = work.account(Role.PLATFORM, BREAKAGE, asset), "breakage"
        entry = _entry(work, key, id, kind, [(account, -room), (taker, room)])
    lines = [work.move(now)]
    funding = funding_of(work, read_number(line.payer))
    if funding is not None and not held:
        kept = {
            "buckets": tuple(one for one in funding.buckets if one != id),
            "allowances": tuple(one for one in funding.allowances if one != id),
        }
        lines.append(move_funding(work, msgspec.structs.replace(funding, **kept)))
    if entry:
        work.record(key, "done", b"", entry, *lines)
    else:
        work.append(*lines)
    return Outcome(None, id, total=room)
