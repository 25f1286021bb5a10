"""Cases as each party may see them: who opened one, whom it would cost something, and the operator; nobody else.

A payer sees no portions, and a provider no amount that a payer disputes: from it the retail price could be computed.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from apportion.engine.disputes.standing import all_disputes, disputes_of, find_dispute, words_of
from apportion.engine.engine import Engine
from apportion.engine.exchange import ChargeView, PageQuery, Text
from apportion.engine.explain import Explanation, View
from apportion.engine.inquiry import explain
from apportion.engine.verbs import Call
from apportion.engine.visible import SCAN, Sight, nothing
from apportion.errors import Refused
from apportion.model.access import AccessRole
from apportion.model.account import Role
from apportion.model.dispute import DisputeLine, DisputeState
from apportion.model.ids import read_number
from apportion.money.exact import decimal_text


class HeldView(msgspec.Struct, frozen=True):
    """What was set aside, and whose it was."""

    account: str
    owner: str
    amount: str


class EvidenceView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of evidence, counted from 1: who gave it and when, its words, and the ``digest`` that the books hold.

    The words are gone once the person whom the case is about was forgotten.
    """

    place: int
    by: str
    at: str
    digest: str
    title: str = ""
    text: str = ""
    private: bool = False


class BooksEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the books themselves say of a charge: as this caller may see it, explained, and in which row it stands.

    ``usage`` is the record behind it and ``digest`` that of the record as it came.
    """

    charge: ChargeView
    explained: Explanation
    usage: str
    digest: str
    row: int


class DisputeView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A case as it stands since ``at``: open, decided or withdrawn.

    ``role`` (``user`` or ``provider``) opened it, ``by`` name where the caller may know it. ``amount`` of what a user
    bears is too much, or a provider earned it more for ``part`` out of what ``against`` (``platform``) earns. ``held``
    was set aside while it was open. Of the amount ``granted`` was booked by the charge ``made``. ``evidence`` and
    ``books`` stand there when one case is asked for.
    """

    id: str
    charge: str
    state: str
    at: str
    opened: str
    role: Literal["user", "provider"]
    currency: str
    by: str = ""
    amount: str = ""
    part: str = ""
    against: str = ""
    held: tuple[HeldView, ...] = ()
    granted: str = ""
    fault: str = ""
    made: str = ""
    evidence: tuple[EvidenceView, ...] = ()
    books: BooksEvidence | None = None


class DisputePage(msgspec.Struct, frozen=True):
    """Cases; ``next`` leads to the following page. A page may be short and still have one."""

    data: tuple[DisputeView, ...]
    next: str = ""


class DisputeQuery(PageQuery, frozen=True):
    """Only the cases about a ``charge``, or in one ``state``."""

    charge: Text = ""
    state: Literal["", "open", "decided", "withdrawn"] = ""


def concerns(line: DisputeLine, sight: Sight) -> bool:
    """Whether a case is the caller's business: its own, or one that may cost it something."""
    return sight.all or any(account in sight.own for account in parties_of(line))


def parties_of(line: DisputeLine) -> list[str]:
    """The accounts that a case is about: who opened it, and from whom something was set aside or would be taken."""
    return list(dict.fromkeys(filter(None, (line.account, line.against, *(leg.account for leg in line.held)))))


class Showing:
    """Makes views of cases for one caller."""

    def __init__(self, engine: Engine, sight: Sight) -> None:
        self._engine, self.sight = engine, sight
        self._owners: dict[str, str] = {}

    def owner(self, account: str) -> str:
        """Whose an account is: by name for the operator, for others where it is an organisation or themselves."""
        if not account:
            return "platform"
        if account not in self._owners:
            self._owners[account] = self._owner(account)
        return self._owners[account]

    def _owner(self, account: str) -> str:
        if account in self.sight.own:
            return self.sight.caller.party
        store, number = self._engine.store, read_number(account)
        found = store.accounts(self._engine.tenant, [number]).get(number)
        if found is None or (found.role is Role.PAYER and not self.sight.all):
            return ""
        return self._engine.books.page(number - 1, 1)[0].owner

    def case(self, line: DisputeLine) -> DisputeView | None:
        """A case as the caller may see it, without its evidence; None when it is none of its business."""
        if not concerns(line, self.sight):
            return None
        claimed = bool(line.provider)
        opener = self.sight.all or line.account in self.sight.own
        whole = opener or claimed
        held = line.held if self.sight.all else ()
        if not self.sight.all and self.sight.caller.role is AccessRole.PROVIDER:
            held = tuple(leg for leg in line.held if leg.account in self.sight.own)
        ended = line.state == DisputeState.DECIDED.value
        return DisputeView(
            line.id, line.charge, line.state, line.at, line.opened, "provider" if claimed else "user",
            line.asset.partition("/")[0],
            by=line.provider or self.owner(line.account),
            amount=line.amount if whole else "",
            part=line.part,
            against=self.owner(line.against) if claimed else "",
            held=tuple(HeldView(leg.account, self.owner(leg.account), leg.amount) for leg in held),
            granted=self._granted(line) if ended and whole else "",
            fault=line.fault if self.sight.all or line.fault == self.sight.caller.party else "",
            made=line.made,
        )  # fmt: skip

    def _granted(self, line: DisputeLine) -> str:
        return decimal_text(0, len(line.amount.partition(".")[2])) if line.granted == "0" else line.granted

    def whole(self, line: DisputeLine) -> DisputeView | None:
        """A case with its evidence and that of the books."""
        found = self.case(line)
        if found is None:
            return None
        evidence = []
        for place, one in enumerate(line.evidence, 1):
            if one.private and not self.sight.all and one.account not in self.sight.own:
                continue
            words = words_of(self._engine, line, place)
            title, text = (words.title, words.text) if words is not None else ("", "")
            evidence.append(
                EvidenceView(place, self._by(line, one.account), one.at, one.digest, title, text, one.private)
            )
        return msgspec.structs.replace(found, evidence=tuple(evidence), books=self._books(line))

    def _by(self, line: DisputeLine, account: str) -> str:
        """Who gave a piece of evidence; a payer has no name for others."""
        return self.owner(account) or ("user" if account == line.account else "")

    def _books(self, line: DisputeLine) -> BooksEvidence | None:
        """What the books say of the charge; nothing for who claims a part and has none of it."""
        try:
            shown = self.sight.charge(line.charge)
        except Refused:
            return None
        caller = self.sight.caller
        view = View() if self.sight.all else View(_VIEWS[caller.role], caller.party)
        record = self._engine.books.record(line.charge)
        explained = explain(self._engine, line.charge, view)
        return BooksEvidence(shown, explained, record.usage.key, record.usage.digest, record.n)


_VIEWS: dict[AccessRole, Any] = {AccessRole.USER: "user", AccessRole.PROVIDER: "provider"}


def disputes(engine: Engine, call: Call) -> DisputePage:
    """Cases that are the caller's business, in the order of their ids; those about a charge oldest first."""
    query: DisputeQuery = call.query
    showing = Showing(engine, Sight(engine, call.caller))
    lines = iter(disputes_of(engine, query.charge)) if query.charge else all_disputes(engine, query.after)
    shown, last = list[DisputeView](), ""
    for looked, line in enumerate(lines):
        if not query.charge and (len(shown) == query.limit or looked == SCAN):
            return DisputePage(tuple(shown), last)
        last = line.id
        view = showing.case(line) if query.state in ("", line.state) else None
        if view is not None:
            shown.append(view)
    return DisputePage(tuple(shown))


def dispute(engine: Engine, call: Call) -> DisputeView:
    """One case, with its evidence and that of the books.

    Raises:
        Refused: NOT_FOUND, also when it is none of the caller's business.
    """
    found = Showing(engine, Sight(engine, call.caller)).whole(find_dispute(engine, call.id))
    if found is None:
        raise nothing()
    return found
