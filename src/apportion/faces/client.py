"""Client: the verbs of Engine against a node, over HTTP, with the same records and the same errors.

    client = apportion.Client("http://127.0.0.1:8080", key="apk_…")
    for answer in client.charge(usages):
        print(answer.state.value, answer.id)

A request that moves money carries an Idempotency-Key; when its answer is lost it is sent again under the same one, so
that it has its effect once. Nothing else that changes something is ever repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from apportion.engine import exchange as x
from apportion.engine.close import Closed
from apportion.engine.credit.door import CreditAnswer, TrustView, WriteOffAnswer, WriteOffInput
from apportion.engine.events.webhooks import WebhookInput, WebhookPage
from apportion.engine.explain import Explanation
from apportion.engine.operations import BY_NAME
from apportion.engine.payments.door import PaymentAnswer, PaymentInput, PaymentView
from apportion.engine.query import AccountView
from apportion.engine.scheduling.standing import ScheduleView
from apportion.engine.statements.operations import Form
from apportion.engine.verbs import ALL
from apportion.faces.asking import Asking, error_of
from apportion.faces.cards import Cards
from apportion.faces.corrections import Corrections
from apportion.faces.disputes import Disputes
from apportion.faces.exchange import Exchange
from apportion.faces.following import Following
from apportion.faces.levels import Levels
from apportion.faces.market import Market
from apportion.faces.negotiations import Negotiations
from apportion.faces.plans import Plans
from apportion.faces.reconciling import Reconciling
from apportion.faces.rerating import Reratings
from apportion.faces.sessions import Sessions
from apportion.faces.settling import Settling
from apportion.faces.statements import Statements
from apportion.faces.stocks import Stocks
from apportion.faces.whatif import WhatIfs
from apportion.model.access import AccessRole, KeyView, NewKey
from apportion.model.catalog import Catalog
from apportion.model.segmentation import SegmentationAgain, SegmentationAsked, SegmentPlan
from apportion.model.statement import CreditNote, Document
from apportion.model.usage import Usage
from apportion.model.webhook import NewWebhook, WebhookView


class Client(Asking):
    """A node, as its key sees it. Use it as a context manager, or ``close`` it.

    ``tries`` is how often a request is sent at most, ``patience`` how many seconds one try may take.
    """

    def __init__(self, url: str, *, key: str, tries: int = 5, patience: float = 60.0, transport: Any = None) -> None:
        super().__init__(url, key, tries, patience, transport)
        self.sessions, self.stocks = Sessions(self.ask, self.pages), Stocks(self.ask)
        self.plans, self.market = Plans(self.ask, self.pages), Market(self.ask, self.pages)
        self.cards = Cards(self.ask, self.pages)
        self.negotiations = Negotiations(self.ask, self.pages)
        self.settling = Settling(self.ask, self.pages)
        self.levels = Levels(self.ask, self.pages)
        self.disputes = Disputes(self.ask, self.pages)
        self.corrections = Corrections(self.ask)
        self.reratings = Reratings(self.ask)
        self.reconciling = Reconciling(self.ask)
        self.whatif = WhatIfs(self.ask)
        self.exchange = Exchange(self.ask)

    # money

    def charge(self, usages: Iterable[Usage], *, idempotency_key: str = "") -> tuple[x.RecordAnswer, ...]:
        """Charge usage records; an answer for each, in order."""
        answer: x.UsageAnswer = self.ask("charge", given=list(usages), key=idempotency_key)
        return answer.records

    def top_up(
        self, payer: str, amount: str, currency: str, reference: str, *, idempotency_key: str = ""
    ) -> x.TopUpAnswer:
        """Add value to a payer's account, once per ``reference``.

        Raises:
            Refused: UNKNOWN_PAYER, BAD_AMOUNT, CONFLICT.
        """
        return self.ask("top_up", given=x.TopUpInput(payer, amount, currency, reference), key=idempotency_key)

    def charge_events(
        self, events: Iterable[Mapping[str, Any]], *, idempotency_key: str = ""
    ) -> tuple[x.RecordAnswer, ...]:
        """Charge usage that comes as CloudEvents 1.0; an answer for each, in order. Quantities are decimal text."""
        media = "application/cloudevents-batch+json"
        answer: x.UsageAnswer = self.ask("charge_events", given=list(events), key=idempotency_key, media=media)
        return answer.records

    def hold(self, given: x.HoldInput, *, idempotency_key: str = "") -> x.HoldAnswer:
        """Set value aside.

        Raises:
            Refused: INSUFFICIENT_FUNDS, UNKNOWN_PAYER, BAD_AMOUNT, BAD_TIME.
        """
        return self.ask("hold", given=given, key=idempotency_key)

    def capture(self, hold: str, amount: str, *, final: bool = True, idempotency_key: str = "") -> x.HoldAnswer:
        """Capture part of a hold; ``final`` ends it and gives back the rest.

        Raises:
            Refused: NOT_FOUND, HOLD_ENDED, BAD_AMOUNT.
        """
        return self.ask("capture", hold, given=x.CaptureInput(amount, final), key=idempotency_key)

    def end_hold(self, hold: str, amount: str = "0", *, final: bool = True, idempotency_key: str = "") -> x.HoldAnswer:
        """Capture part of a hold, or end it and give back the rest.

        Raises:
            Refused: NOT_FOUND, HOLD_ENDED, BAD_AMOUNT.
        """
        return self.capture(hold, amount, final=final, idempotency_key=idempotency_key)

    def release(self, hold: str, *, idempotency_key: str = "") -> x.HoldAnswer:
        """End a hold; what is still open goes back."""
        return self.ask("release", hold, given=x.Nothing(), key=idempotency_key)

    def pay(self, given: PaymentInput, *, idempotency_key: str = "") -> PaymentAnswer:
        """Fetch value by a payment, once per reference; ``payment`` tells how it stands.

        Raises:
            Refused: BAD_AMOUNT, BAD_INPUT, CONFLICT, PAYMENT_LIMIT, UNKNOWN_PAYER.
        """
        return self.ask("pay", given=given, key=idempotency_key)

    def close_period(self, period: str, *, force: bool = False, idempotency_key: str = "") -> Closed:
        """Close a billing period for all payers; every one that usage names when it is empty."""
        return self.ask("close_period", period or ALL, given=x.CloseInput(force), key=idempotency_key)

    def issue(
        self, period: str = "", who: str = "", session: str = "", *, idempotency_key: str = ""
    ) -> tuple[x.StatementView, ...]:
        """Issue the statements of a period that has ended, or of a session."""
        answer: x.IssueAnswer = self.ask("issue", given=x.IssueInput(period, who, session), key=idempotency_key)
        return answer.data

    def schedule(self) -> ScheduleView:
        """What nodes do by themselves, and when it is due."""
        return self.ask("schedule")

    def apply(self, catalog: Catalog, *, idempotency_key: str = "") -> str:
        """Put a catalog into force; its version id.

        Raises:
            Misconfigured: with every finding.
        """
        answer: x.AppliedAnswer = self.ask("apply", given=catalog, key=idempotency_key)
        return answer.id

    def set_credit(self, account: str, *, idempotency_key: str = "") -> CreditAnswer:
        """Decide a payer's credit line anew, by what its history earns.

        Raises:
            Refused: NOT_FOUND; CONFLICT when the line is fixed.
        """
        return self.ask("set_credit", account, given=x.Nothing(), key=idempotency_key)

    def write_off(self, account: str, amount: str = "", *, idempotency_key: str = "") -> WriteOffAnswer:
        """Move a payer's debt (all of it when no amount is given) to who stands for its credit line.

        Raises:
            Refused: NOT_FOUND, BAD_AMOUNT; CONFLICT when nothing is owed.
        """
        return self.ask("write_off", account, given=WriteOffInput(amount), key=idempotency_key)

    def segment(self, asked: SegmentationAsked) -> SegmentPlan:
        """Split a known amount of data over paths; nothing is stored or charged by it.

        Raises:
            Refused: NO_PLAN with the nearest miss, and what may be wrong with the request.
        """
        return self.ask("segment", given=asked)

    def segment_again(self, given: SegmentationAgain) -> SegmentPlan:
        """Find a split again from what has become of its paths.

        Raises:
            Refused: as ``segment``; BAD_INPUT when the reports contradict the plan.
        """
        return self.ask("segment_again", given=given)

    # reads

    def accounts(self, owner: str = "", role: str = "") -> Iterator[AccountView]:
        """All accounts that this key may see, or those of one party (or id), or of one role."""
        return self.pages("accounts", owner=owner, role=role)

    def account(self, id: str) -> AccountView:
        """One account as it stands."""
        return self.ask("account", id)

    def trust(self, account: str) -> TrustView:
        """A payer's credit as it stands, what it has earned, and why."""
        return self.ask("trust", account)

    def entries(self, account: str) -> Iterator[x.EntryView]:
        """What moved on an account, in order."""
        return self.pages("entries", account)

    def holds(self, account: str = "", *, open: bool = False) -> Iterator[x.HoldView]:
        """All holds that this key may see, or those on one account, or only those that are still ``open``."""
        return self.pages("holds", account=account, open="true" if open else "")

    def hold_of(self, id: str) -> x.HoldView:
        """One hold as it stands."""
        return self.ask("hold_of", id)

    def charges(self) -> Iterator[x.ChargeView]:
        """All charges that this key may see, in booking order."""
        return self.pages("charges")

    def charge_of(self, id: str) -> x.ChargeView:
        """One charge."""
        return self.ask("charge_of", id)

    def explain(self, id: str, view: str = "operator") -> Explanation:
        """A charge in plain words with its arithmetic; ``chg_…/PART`` is the portion of one part."""
        id, _, part = id.partition("/")
        return self.ask("explain", id, query={"view": view, "part": part} if part else {"view": view})

    def statements(self) -> Iterator[x.StatementView]:
        """Statements and remittance advices, oldest first."""
        return self.pages("statements")

    def statement(self, id: str) -> Document:
        """One statement, credit note or remittance advice, by id or number."""
        return self.ask("statement", id)

    def download(self, id: str, format: Form = "pdf") -> bytes:
        """A document as a file: html, pdf, csv, text or json.

        Raises:
            Refused: NOT_FOUND; BAD_INPUT when the node makes no PDF.
        """
        return self.fetch("statement", id, query={"format": format})

    def preview(self, account: str, period: str = "", session: str = "") -> tuple[Document, ...]:
        """What an account's next statements would say now; nothing is stored."""
        return Statements(self.ask, self.pages).preview(account, period, session)

    def credit_note(self, statement: str, charges: Sequence[str] = (), *, idempotency_key: str = "") -> CreditNote:
        """Give back what was refunded of a statement after its issue.

        Raises:
            Refused: NOT_FOUND when nothing was given back; BAD_AMOUNT when it comes to more to pay.
        """
        made = Statements(self.ask, self.pages)
        return made.credit_note(statement, charges, idempotency_key=idempotency_key)

    def catalog(self, version: str = "") -> x.CatalogAnswer:
        """The catalog in force, or another version of it."""
        return self.ask("catalog", query={"version": version} if version else None)

    def export(self) -> Iterator[bytes]:
        """The lines of the complete books, each with its line feed.

        Raises:
            StoreUnavailable: the node did not answer, or stopped before the last line.
        """
        try:
            with self._http.stream("GET", BY_NAME["export"].path) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise error_of(answer.status_code, answer.content)
                held = b""
                for chunk in answer.iter_bytes():
                    *lines, held = (held + chunk).split(b"\n")
                    yield from (line + b"\n" for line in lines)
        except self._errors as error:
            raise self._unreached(error) from error

    def payment(self, id: str) -> PaymentView:
        """One payment as it stands."""
        return self.ask("payment", id)

    def payments(self, account: str) -> Iterator[PaymentView]:
        """An account's payments, newest first."""
        return self.pages("payments", account)

    # what happens

    def events(self, *, account: str = "", session: str = "", after: str = "", types: Sequence[str] = ()) -> Following:
        """Follow what happens from now on (behind a cursor ``after``, or from the ``start``), without an end.

        Everything that this key may see, or only what is about an account or a session. A connection that breaks is
        made again; nothing is lost and nothing comes twice. ``cursor`` of what comes back says how far it has come.

        Raises:
            Refused: NOT_FOUND, BAD_INPUT.
        """
        from urllib.parse import quote

        name = "watch_account" if account else "watch_session" if session else "watch_all"
        path = BY_NAME[name].path.replace("{id}", quote(account or session, safe=""))
        query = {"after": after, "types": ",".join(types)}
        return Following(self._http, path, {name: text for name, text in query.items() if text}, error_of)

    def webhooks(self) -> tuple[WebhookView, ...]:
        """The webhooks that this key may see, as they stand."""
        answer: WebhookPage = self.ask("webhooks")
        return answer.data

    def create_webhook(self, url: str, types: Sequence[str] = (), label: str = "") -> NewWebhook:
        """Have an address told of events from now on; the secret that verifies them is in this answer alone."""
        return self.ask("create_webhook", given=WebhookInput(url, tuple(types), label))

    def delete_webhook(self, id: str) -> WebhookView:
        """Tell an address no more."""
        return self.ask("delete_webhook", id)

    def resume_webhook(self, id: str) -> WebhookView:
        """Try a webhook again now, from where the telling stopped."""
        return self.ask("resume_webhook", id, given=x.Nothing())

    # access

    def me(self) -> x.Me:
        """Whose key this is."""
        return self.ask("me")

    def keys(self) -> tuple[KeyView, ...]:
        """All keys of the tenant."""
        answer: x.KeyPage = self.ask("keys")
        return answer.data

    def create_key(
        self, role: AccessRole, party: str = "", sources: Sequence[str] = (), expires: str = "", **more: Any
    ) -> NewKey:
        """Make a key; its secret is in the answer and never shown again.

        ``more`` may name a ``label``, and the ``services`` and ``payers`` that its usage is bounded to.
        """
        given = x.KeyInput(role, party, tuple(sources), expires=expires, **more)
        return self.ask("create_key", given=given)

    def revoke_key(self, id: str) -> KeyView:
        """End a key for ever."""
        return self.ask("revoke_key", id)
