"""One usage record, decided: dedup, funds, entry, and the three lines that the books keep of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from apportion.engine.converting import Abroad, crew_of
from apportion.engine.funding.drawing import covered, draw_shares, drawn_shares, held_of, served
from apportion.engine.funding.purse import funding_of
from apportion.engine.late import open_period, too_late
from apportion.engine.legs import Legs, RunningTotals, move_totals, providers_of
from apportion.engine.payers import charged_accounts
from apportion.engine.payments.decision import fetch
from apportion.engine.rating import Prepared, prepare, rate
from apportion.engine.terms import Terms
from apportion.engine.work import Work, encode
from apportion.errors import Refusal, RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.ledger.booking import book_line
from apportion.ledger.chart import may_draw
from apportion.model.account import Account
from apportion.model.charge import Charge, Portion, Share, TaxLine
from apportion.model.command import Outcome
from apportion.model.funding import AllowanceLine
from apportion.model.ids import key_id
from apportion.model.journal import UsageLine
from apportion.model.usage import PartUse, PayerUse, Usage, UsageClass
from apportion.money.exact import decimal_text, fraction_text
from apportion.ports import Key, Person

STATES = (UsageClass.ZERO_RATED, UsageClass.CHARGED)
ZERO_RATED, CHARGED, PENDING = STATES[0].value, STATES[1].value, UsageClass.PENDING.value
DONE = frozenset({CHARGED, ZERO_RATED})


class UsageDecision:
    """A ChargeUsage on its way: prepared without the store, decided on the working set."""

    __slots__ = ("digest", "key", "prepared", "refusal", "terms", "usage")

    def __init__(self, usage: Usage, terms: Terms) -> None:
        self.usage = usage
        self.terms = terms
        self.key = proof.record_key(usage.source, usage.id)
        self.digest = proof.blake3(encode(usage)).digest(8)
        self.prepared: Prepared | None = None
        self.refusal: Refusal | None = None
        try:
            if usage.source.startswith("ses_"):
                raise refuse(
                    RefusalCode.BAD_INPUT, "is the name of a session, whose use is reported to it.", field="source"
                )
            self.prepared = prepare(usage, terms)
        except Refused as error:
            self.refusal = error.refusal

    def keys(self) -> tuple[Key, ...]:
        """Dedup keys to look up."""
        return (self.key,)

    def people(self) -> list[str]:
        """Names of payers to look up."""
        return [p.payer for p in self.usage.payers]

    def charts(self) -> list[str]:
        """Chart keys of the accounts that will surely be touched."""
        return [] if self.prepared is None else self.prepared.route.charts

    def decide(self, work: Work) -> Outcome:
        """Book the record on the working set, or say why not; nothing changes unless it is booked whole."""
        seen = work.seen.get(self.key)
        if seen is not None and seen.state in DONE:
            if seen.digest == self.digest:
                return Outcome(UsageClass.DUPLICATE, key_id("chg", self.key))
            return self._conflict(work)
        if self.prepared is None:
            assert self.refusal is not None
            return self._rejected(work, self.refusal)
        days = self.prepared.terms.service.late_days
        if days and (seen is None or seen.state != PENDING):  # what waits came in time
            late = too_late(work, self.usage, days)
            if late is not None:
                return self._rejected(work, late)
        try:
            return self._charged(work, self.prepared)
        except Refused as error:
            return self._rejected(work, error.refusal)

    def _charged(self, work: Work, prepared: Prepared) -> Outcome:
        payers = charged_accounts(work, self.terms, prepared)
        first = payers[0]
        if prepared.running and (prepared.period, first.id) in work.closed:
            period = open_period(work, self.terms, self.usage, first.id)
            if not period:
                return self._parked(work, first, Refusal(RefusalCode.PERIOD_CLOSED, field="start"))
            prepared = msgspec.structs.replace(prepared, period=period)
        funded = work.names.funded and any(funding_of(work, payer.id) for payer in payers)
        stock: list[AllowanceLine] = []
        away = self.terms.rates and (prepared.rates or any(p.asset != work.asset(prepared.terms.asset) for p in payers))
        if funded and not (away and first.asset != work.asset(prepared.terms.asset)):
            prepared, stock = covered(work, prepared, first)
        rated = prepared.rated
        if rated is None:
            rated = rate(prepared, lambda prefix: RunningTotals(work, first.id, prefix))
        if away:
            legs: Legs = Abroad(work, prepared, rated, payers, crew_of(work, prepared))
        else:
            crew = work.crews.get(prepared.route)
            if crew is None:
                crew = work.crews[prepared.route] = providers_of(work, prepared)
            legs = Legs(work, prepared.terms, rated, payers, crew)
        if funded:
            try:
                noted = draw_shares(work, prepared, legs, stock)
            except Refused as refused:
                fetch(work, legs.owed(), prepared.terms.service.id)
                return self._parked(work, first, refused.refusal)
            return Booking(self, work, prepared, legs).write(noted)
        for account, atoms in legs.shares:
            short = may_draw(account, atoms)
            if short is not None:
                return self._parked(work, first, short)
        return Booking(self, work, prepared, legs).write()

    def _conflict(self, work: Work) -> Outcome:
        refusal = Refusal(
            RefusalCode.CONFLICT,
            "this id was charged before with other content.",
            "id",
            "Send corrections under an id of their own.",
        )
        key = proof.record_key(self.usage.source, f"{self.usage.id}\x00{self.digest.hex()}")
        return self._refused(work, key, refusal)

    def _rejected(self, work: Work, refusal: Refusal) -> Outcome:
        return self._refused(work, self.key, refusal)

    def _refused(self, work: Work, key: Key, refusal: Refusal) -> Outcome:
        """Note a rejection once per record and content; the raw record stays with its sender."""
        seen = work.known(key)
        if seen is None or seen.digest != self.digest or seen.state != UsageClass.REJECTED.value:
            line = rejected_line(key, self.usage.source, self.usage.id, self.usage.service, self.digest, refusal)
            work.record(key, UsageClass.REJECTED.value, self.digest, line)
        return Outcome(UsageClass.REJECTED, key_id("usg", key), refusal)

    def _parked(self, work: Work, payer: Account, refusal: Refusal) -> Outcome:
        """Keep a record that can not be booked yet; it is tried again whenever a run starts."""
        seen = work.seen.get(self.key)
        if seen is None or seen.state != UsageClass.PENDING.value or seen.digest != self.digest:
            usage = self.usage
            line = encode(
                UsageLine(
                    key_id("usg", self.key),
                    usage.source,
                    usage.id,
                    usage.service,
                    instant(usage.start),
                    "pending",
                    self.digest.hex(),
                    reason=refusal.code.value,
                    field=refusal.field,
                )
            )
            work.record(self.key, UsageClass.PENDING.value, self.digest, line)
            work.writes.pending.append((self.key, payer.party, encode(usage)))
        return Outcome(UsageClass.PENDING, key_id("usg", self.key), refusal)


class Booking:
    """The writing side of one charge: movements on the accounts, then usage, charge and entry as lines."""

    __slots__ = (
        "attributes", "decision", "hex", "legs", "macs", "payers", "prepared", "rated", "scale", "sponsored", "start",
        "tax", "work",
    )  # fmt: skip

    def __init__(self, decision: UsageDecision, work: Work, prepared: Prepared, legs: Legs) -> None:
        self.decision, self.work, self.prepared, self.legs, self.rated = decision, work, prepared, legs, legs.rated
        self.payers = legs.payers
        self.scale = prepared.terms.asset.scale
        self.hex = decision.key.hex()
        self.start = instant(decision.usage.start)
        self.attributes = decision.usage.attributes
        self.macs: dict[str, str] = {}
        self.tax = self.sponsored = "0"
        if prepared.terms.personal:
            self._hide()

    def write(self, more: Callable[[], Sequence[bytes]] = tuple) -> Outcome:
        """Book it; the lines that ``more`` then gives stand at the end of its row."""
        work, decision, prepared, rated = self.work, self.decision, self.prepared, self.rated
        key, charge_id = decision.key, "chg_" + self.hex
        movements = self.legs.movements()
        if self.legs.abroad:
            self.legs.check(movements)
        lines = [self._usage_line(), self._charge_line()]
        if movements:
            asset = (prepared.terms.asset_text, self.scale)
            lines.append(book_line("ent_" + self.hex, charge_id, "charge", work.at, asset, movements))
            work.touch_all(movements)
        keys: list[Key] = []
        if self.legs.abroad:
            entries, keys = self.legs.lines(work, charge_id)
            lines += entries
        if any(rated.split.kept) or rated.shares is not None or self.legs.abroad:
            for account, residue in self.legs.residues():
                work.keep(account, residue)
        if prepared.running:
            move_totals(work, prepared, rated, self.payers[0])
        if prepared.terms.personal:
            self._personal()
        if key in work.seen and work.seen[key].state == PENDING:
            work.writes.pending.append((key, 0, None))
        work.record(key, CHARGED if rated.total else ZERO_RATED, decision.digest, *lines, *more())
        for other in keys:
            work.remember(other, "done", b"", work.head[0])
        below_cost = rated.split.sponsored if prepared.terms.service.guard else 0
        return Outcome(STATES[bool(rated.total)], charge_id, None, rated.total, below_cost)

    def _personal(self) -> None:
        """Personal attributes go to rows of their own, under the first payer."""
        for name in self.prepared.terms.personal:
            value = self.decision.usage.attributes.get(name)
            if value:
                self.work.writes.people.append(Person(self.payers[0].party, name, value, self.decision.key))

    def _hide(self) -> None:
        """Cut personal attributes to what the price needs; a MAC stands for the rest."""
        prepared = self.prepared
        self.attributes = dict(self.attributes)
        for name in prepared.terms.personal & self.attributes.keys():
            salt = self.work.salts_of(self.payers[0].party)
            self.macs[name] = proof.personal_mac(salt, self.attributes[name])
            self.attributes[name] = prepared.needed(name)

    # Each line stands here twice: its texts, with the shape of everything else, and the record that these texts make.

    def _usage_line(self) -> bytes:
        usage, prepared, attributes, macs = self.decision.usage, self.prepared, self.attributes, self.macs
        pays: list[bool] = []
        if self.rated.shares is not None:  # otherwise there is one payer, who pays
            exempt = prepared.terms.exempt
            pays = [payer.pays and payer.payer not in exempt for payer in usage.payers]
        state = CHARGED if self.rated.total else ZERO_RATED
        texts = [self.hex, usage.source, usage.id, self.start, state, self.decision.digest.hex()]
        free: Sequence[int] = (1, 2)
        if usage.end is not None:
            texts.append(instant(usage.end))
        texts += usage.quantities.values()
        if attributes:
            free = (1, 2, *range(len(texts), len(texts) + len(attributes)))
            texts += (*attributes.values(), *macs.values())
        texts += [account.public for account in self.payers]
        if prepared.period:
            texts.append(prepared.period)
        if prepared.detailed:
            return encode(self._usage_record(texts))
        shape = (*usage.quantities, usage.end is None, *attributes, prepared.period == "", *macs, *pays)
        return prepared.deal.usage_forms.line(shape, self._usage_record, texts, free)

    def _usage_record(self, texts: Sequence[str]) -> UsageLine:
        usage, prepared = self.decision.usage, self.prepared
        text = iter(texts).__next__
        return UsageLine(
            key="usg_" + text(),
            source=text(),
            id=text(),
            start=text(),
            state=text(),
            digest=text(),
            end=text() if usage.end is not None else "",
            quantities={measure: text() for measure in usage.quantities},
            attributes={name: text() for name in self.attributes},
            macs={name: text() for name in self.macs},
            payers=tuple(
                [
                    PayerUse(text(), p.weight, p.quantities, p.pays and p.payer not in prepared.terms.exempt)
                    for p in usage.payers
                ]
            ),
            period=text() if prepared.period else "",
            service=usage.service,
            parts=usage.parts or tuple([PartUse(part.part, part.provider) for part in prepared.route.parts]),
        )

    def _charge_line(self) -> bytes:
        rated, scale, split, legs = self.rated, self.scale, self.rated.split, self.legs
        exact, den = rated.retail.exact, split.den * self.prepared.terms.asset.unit
        net = decimal_text(rated.net, scale)
        total = decimal_text(rated.total, scale) if rated.taxes else net
        texts = [
            self.hex, self.hex, self.start, fraction_text(exact.num, exact.den), net, total,
            decimal_text(split.platform, scale), legs.platform.public,
        ]  # fmt: skip
        for account, due, atoms in zip(legs.providers, split.nums, split.portions, strict=False):
            texts += (account.public, fraction_text(due, den), decimal_text(atoms, scale))
        shape: tuple[object, ...] = ()
        if rated.shares is None and legs.sponsor is None and not rated.taxes and legs.draws is None:
            texts += (self.payers[0].public, net)
        else:
            shape = self._more(texts)
        prepared = self.prepared  # price lines, shares or agreements have texts of their own:
        if prepared.running or legs.draws is not None or prepared.choice is not None or legs.abroad:
            return encode(legs.told(self._charge_record(texts)))
        return prepared.deal.charge_forms.line(shape, self._charge_record, texts)

    def _more(self, texts: list[str]) -> tuple[object, ...]:
        """The rest of a charge's texts, when there are several payers, a tax or a sponsor; its shape."""
        rated, scale, legs, weights = self.rated, self.scale, self.legs, self.prepared.weights
        shares = legs.indexed_shares()
        for i, (account, share) in enumerate(shares if legs.draws is None else ()):
            if share is not None:
                texts += (account.public, decimal_text(share, scale), *([weights[i].text()] if weights else ()))
        if rated.taxes:
            self.tax = decimal_text(rated.total - rated.net, scale)
        if legs.sponsor is not None:
            self.sponsored = decimal_text(legs.sponsor[1], scale)
            texts.append(legs.sponsor[0].public)
        texts += [text for text in (self.tax, self.sponsored) if text != "0"]
        for _, _, base, tax in rated.taxes:
            texts += (decimal_text(base, scale), decimal_text(tax, scale))
        return (
            legs.sponsor is None, self.tax == "0", self.sponsored == "0", tuple([tax[:2] for tax in rated.taxes]),
            *[share is None for _, share in shares],
        )  # fmt: skip

    def _charge_record(self, texts: Sequence[str]) -> Charge:
        rated, prepared, legs = self.rated, self.prepared, self.legs
        service, deal = prepared.terms.service, prepared.deal
        kept = prepared.running  # other lines are computed again from the usage and the catalog when asked for
        pieces = rated.parts if kept else [None] * len(deal.tariffs)
        parts = zip(prepared.route.parts, deal.tariffs, pieces, strict=True)
        text = iter(texts).__next__
        return Charge(
            id="chg_" + text(),
            usage="usg_" + text(),
            at=text(),
            exact=text(),
            amount=text(),
            total=text(),
            platform=text(),
            platform_account=text(),
            portions=tuple(
                [
                    Portion(part.part, part.provider, text(), text(), text(), tariff, priced.lines if priced else ())
                    for part, tariff, priced in parts
                ]
            ),
            shares=tuple(
                [
                    Share(text(), text(), text() if prepared.weights else "", "", "", *served(prepared, place))
                    for place, (_, share) in enumerate(legs.indexed_shares())
                    if share is not None
                ]
            )
            if legs.draws is None
            else drawn_shares(prepared, legs, legs.draws),
            sponsor=text() if legs.sponsor is not None else "",
            tax=text() if self.tax != "0" else "0",  # at its default, a field is left out of the line
            sponsored=text() if self.sponsored != "0" else "0",
            taxes=tuple([TaxLine(name, rate_, text(), text()) for name, rate_, _, _ in rated.taxes]),
            lines=rated.retail.lines if kept else (),
            service=service.id,
            currency=prepared.terms.asset.code,
            tariff=deal.retail.tariff.id,
            catalog=self.decision.terms.version,
            rule=service.apportion,
            allocation=service.allocate if len(self.payers) > 1 else "",
            allowances=prepared.covered,
            held=held_of(prepared, self.payers),
        )


def rejected_line(key: Key, source: str, record: str, service: str, digest: bytes, refusal: Refusal) -> bytes:
    """A rejection as a line of the books: code and field, never the values or names, which may be personal."""
    field = "payers" if refusal.field.startswith("payer.") else refusal.field
    return encode(
        UsageLine(
            key_id("usg", key),
            source,
            record,
            service,
            "",
            UsageClass.REJECTED.value,
            digest.hex(),
            reason=refusal.code.value,
            field=field if len(field) < 40 else "",
        )
    )


def instant(when: datetime) -> str:
    """An aware UTC datetime as RFC 3339 with Z."""
    text = when.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text
