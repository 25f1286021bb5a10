"""The documents of one account for one period, a session or a correction: headings put above what was added up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from apportion.engine.statements.wishes import Wishes
from apportion.engine.unbilled import Party, settle_loose
from apportion.ledger import proof
from apportion.model.calendar import Period
from apportion.model.ids import key_id, number_id
from apportion.model.statement import Document, Seal
from apportion.stages.statement import Heading, PayerTally, ProviderTally, atoms_of, compose_remittance
from apportion.stages.statement.compose import compose_statements, faces_of

STATEMENT, REMITTANCE, CREDIT_NOTE = "statement", "remittance", "credit-note"
Moved = tuple[tuple[tuple[str, str], int], ...]


class About(msgspec.Struct, frozen=True):
    """What documents are about: a period, or in it a session or what a credit note gives back (``covers``).

    ``besides`` are further fields of each; a ``preview`` has neither id nor number. An advice that a ``settlement``
    issues is about all that was booked until then.
    """

    kind: str
    span: Period
    covers: tuple[str, ...] = ()
    besides: dict[str, Any] = {}
    preview: bool = False
    settlement: str = ""


class Composed(msgspec.Struct, frozen=True):
    """One document with the key that it is remembered under, and what the books must note beside it.

    ``provider`` sends it; ``tax_moved`` are the atoms by which its tax differs from the booked legs,
    ``taken`` the atoms of each child's charges that go over to its account. ``more`` says that another one follows.
    """

    key: bytes
    document: Document
    provider: str = ""
    tax_moved: Moved = ()
    taken: tuple[tuple[Party, int], ...] = ()
    more: bool = False


def document_key(account: str, period: str, kind: str, face: str = "") -> bytes:
    """The key under which the books remember a document: one per account, period, kind and face, for ever."""
    return proof.record_key(kind, f"{account}\x00{period}\x00{face}" if face else f"{account}\x00{period}")


def instant(when: datetime) -> str:
    """An instant as documents have it."""
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Composer:
    """Puts names, numbers and a seal above what a party used; ``number`` gives the next one of a kind's series."""

    def __init__(self, wishes: Wishes, number: Callable[[str], str], seal: Callable[[], Seal], now: str) -> None:
        self._wishes, self._number, self._seal, self._now = wishes, number, seal, now

    def documents(self, party: Party, about: About) -> list[Composed]:
        """The documents of a party for a period, or about a session or correction in it."""
        tally = party.tally(about.span)
        if isinstance(tally, ProviderTally):
            return [self.advice(party, about, tally)]
        settle_loose(party, tally)
        taken = self._taken(party, about, tally)
        faces = faces_of(tally)
        one = "" if tally.manner.split else self._wishes.face(party.owner, tally.homes)
        numbers = {face: "" if about.preview else self._number(about.kind) for face in faces}
        several = tuple(numbers.values()) if len(faces) > 1 and not about.preview else ()
        billing = self._wishes.billing(party.owner)
        besides = {"language": billing.language, "channel": billing.channel, "beside": several, **about.besides}
        stated = compose_statements(
            lambda face: self._heading(
                party, about, face, (numbers[face], besides | {"provider": face if len(faces) > 1 else face or one})
            ),
            tally,
        )
        last = len(stated) - 1
        return [
            Composed(
                self._key(party, about, face), one_of.statement, one_of.statement.provider, one_of.tax_moved,
                taken if place == last else (), place < last,
            )
            for place, (face, one_of) in enumerate(zip(faces, stated, strict=True))
        ]  # fmt: skip

    def advice(self, party: Party, about: About, tally: ProviderTally) -> Composed:
        """The remittance advice of a provider for a period, or that of a settlement."""
        settle_loose(party, tally)
        heading = self._heading(party, about, "", None)
        invented = self._wishes.made_up(party.owner)
        made = compose_remittance(heading, tally, made_up=invented, settlement=about.settlement)
        return Composed(self._key(party, about, ""), made)

    def _taken(self, party: Party, about: About, tally: PayerTally) -> tuple[tuple[Party, int], ...]:
        """Put what the children used onto their parent's statement; how many atoms of charges each had."""
        found = []
        for child in party.children if not about.covers else ():
            mine = child.tally(about.span)
            assert isinstance(mine, PayerTally)
            settle_loose(child, mine)
            stocked = sum(received_atoms(child, mine))
            tally.absorb(mine, child.account.public)
            found.append((child, mine.charges - stocked))
        return tuple(found)

    def _key(self, party: Party, about: About, face: str) -> bytes:
        name = about.covers[0] if about.covers else about.span.key
        return document_key(party.account.public, name, about.kind, face)

    def _heading(self, party: Party, about: About, face: str, numbered: tuple[str, dict[str, Any]] | None) -> Heading:
        account = party.account
        number, besides = numbered or ("" if about.preview else self._number(about.kind), {})
        if about.preview:
            besides = besides | {"preview": True}
        return Heading(
            "" if about.preview else key_id("stm", self._key(party, about, face)),
            number,
            account.public,
            number_id("pty", account.party) if account.party else party.owner,
            self._wishes.named(party.owner, account.public, payer=bool(account.party)),
            self._wishes.issuer(besides.get("provider", "")),
            about.span.key,
            instant(about.span.start),
            instant(about.span.end),
            party.calendar.zone,
            self._now,
            self._seal(),
            before=party.before,
            besides=besides,
        )


def received_atoms(party: Party, tally: PayerTally) -> list[int]:
    """What came in for the charges of a tally, in atoms."""
    return [atoms_of(received.amount, party.asset) for received in tally.received]
