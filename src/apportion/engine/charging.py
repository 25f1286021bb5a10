"""One usage record, decided: dedup, funds, entry, and the three lines that the books keep of it."""

from __future__ import annotations

from datetime import datetime

from apportion.engine.legs import Legs, RunningTotals, move_totals, providers_of
from apportion.engine.rating import Prepared, prepare, rate
from apportion.engine.terms import Terms
from apportion.engine.work import Work, encode
from apportion.errors import Refusal, RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.ledger.booking import book
from apportion.ledger.chart import may_draw
from apportion.model.account import Account
from apportion.model.charge import Charge, Portion, Share, TaxLine
from apportion.model.command import Outcome
from apportion.model.ids import key_id
from apportion.model.journal import UsageLine
from apportion.model.usage import PartUse, PayerUse, Usage, UsageClass
from apportion.money import Exact, Money
from apportion.money.exact import decimal_text
from apportion.ports import Key, Person

DONE = frozenset({UsageClass.CHARGED.value, UsageClass.ZERO_RATED.value})


class UsageDecision:
    """A ChargeUsage on its way: prepared without the store, decided on the working set."""

    def __init__(self, usage: Usage, terms: Terms) -> None:
        self.usage = usage
        self.terms = terms
        self.key = proof.record_key(usage.source, usage.id)
        self.digest = proof.blake3(encode(usage)).digest(8)
        self.prepared: Prepared | None = None
        self.refusal: Refusal | None = None
        try:
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
        if self.prepared is None:
            return []
        terms = self.prepared.terms
        return [*[part.key for part in self.prepared.route.parts], terms.platform_key]

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
        try:
            return self._charged(work, self.prepared)
        except Refused as error:
            return self._rejected(work, error.refusal)

    def _charged(self, work: Work, prepared: Prepared) -> Outcome:
        payers = [self._payer(work, prepared, p) for p in prepared.payers]
        first = payers[0]
        if prepared.running and (prepared.period, first.id) in work.closed:
            return self._parked(work, first, Refusal(RefusalCode.PERIOD_CLOSED, field="start"))
        rated = prepared.rated
        if rated is None:
            rated = rate(prepared, lambda prefix: RunningTotals(work, first.id, prefix))
        legs = Legs(work, prepared.terms, rated, payers, providers_of(work, prepared))
        for account, atoms in legs.shares:
            short = may_draw(account, atoms)
            if short is not None:
                return self._parked(work, first, short)
        return Booking(self, work, prepared, legs).write()

    def _payer(self, work: Work, prepared: Prepared, use: PayerUse) -> Account:
        asset = prepared.terms.asset
        account = work.payer(use.payer, asset)
        if account is not None:
            return account
        known = self.terms.catalog.payers.get(use.payer)
        terms = known or self.terms.catalog.unknown_payers
        if terms is None or terms.currency != asset.code:
            raise refuse(
                RefusalCode.UNKNOWN_PAYER,
                f"no account in {asset.code} is open for this payer.",
                field="payers",
                fix="Add the payer to the catalog, or say under unknown_payers on which terms to open accounts.",
            )
        return work.open_payer(use.payer, asset, Money.parse(terms.credit, asset).atoms)

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
        seen = work.seen.get(key)
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
                    key_id("usg", self.key), usage.source, usage.id, usage.service, instant(usage.start), "pending",
                    self.digest.hex(), reason=refusal.code.value, field=refusal.field,
                )
            )
            work.record(self.key, UsageClass.PENDING.value, self.digest, line)
            work.writes.pending.append((self.key, payer.party, encode(usage)))
        return Outcome(UsageClass.PENDING, key_id("usg", self.key), refusal)


class Booking:
    """The writing side of one charge: movements on the accounts, then usage, charge and entry as lines."""

    def __init__(self, decision: UsageDecision, work: Work, prepared: Prepared, legs: Legs) -> None:
        self.decision, self.work, self.prepared, self.legs, self.rated = decision, work, prepared, legs, legs.rated
        self.payers = legs.payers
        self.asset = prepared.terms.asset
        self.scale = self.asset.scale
        self.start = instant(decision.usage.start)

    def write(self) -> Outcome:
        """Book it."""
        work, decision, prepared, rated = self.work, self.decision, self.prepared, self.rated
        key = decision.key
        movements = self.legs.movements()
        charge_id = key_id("chg", key)
        lines = [self._usage(charge_id), encode(self._charge(charge_id))]
        if movements:
            asset = (prepared.terms.asset_text, self.scale)
            lines.append(encode(book(key_id("ent", key), charge_id, "charge", work.at, asset, movements)))
            for account, _ in movements:
                work.touch(account)
        if any(rated.split.kept) or rated.shares is not None:
            for account, residue in self.legs.residues():
                work.keep(account, residue)
        if prepared.running:
            move_totals(work, prepared, rated, self.payers[0])
        state = UsageClass.CHARGED if rated.total else UsageClass.ZERO_RATED
        if prepared.terms.personal:
            self._personal()
        old = work.seen.get(key)
        if old is not None and old.state == UsageClass.PENDING.value:
            work.writes.pending.append((key, 0, None))
        work.record(key, state.value, decision.digest, *lines)
        return Outcome(state, charge_id, None, rated.total, self.legs.sponsored)

    def _personal(self) -> None:
        """Personal attributes go to rows of their own, under the first payer."""
        for name in self.prepared.terms.personal:
            value = self.decision.usage.attributes.get(name)
            if value:
                self.work.writes.people.append(Person(self.payers[0].party, name, value, self.decision.key))

    def _usage(self, charge_id: str) -> bytes:
        usage, prepared = self.decision.usage, self.prepared
        attributes, macs = usage.attributes, {}
        if prepared.terms.personal:
            attributes = dict(attributes)
            for name in prepared.terms.personal & attributes.keys():
                salt = self.work.salts_of(self.payers[0].party)
                macs[name] = proof.personal_mac(salt, attributes[name])
                attributes[name] = prepared.needed(name)
        payers = tuple(
            [
                PayerUse(account.public, p.weight, p.quantities, p.pays and p.payer not in prepared.terms.exempt)
                for account, p in zip(self.payers, usage.payers, strict=True)
            ]
        )
        parts = usage.parts or tuple([PartUse(part.part, part.provider) for part in prepared.route.parts])
        return encode(
            UsageLine(
                "usg" + charge_id[3:], usage.source, usage.id, usage.service, self.start,
                "charged" if self.rated.total else "zero-rated", self.decision.digest.hex(),
                instant(usage.end) if usage.end is not None else "", usage.quantities, attributes, macs, parts, payers,
                prepared.period,
            )
        )

    def _charge(self, charge_id: str) -> Charge:
        rated, prepared, scale, split = self.rated, self.prepared, self.scale, self.rated.split
        service = prepared.terms.service
        kept = prepared.running  # other lines are computed again from the usage and the catalog when asked for
        portions = tuple(
            [
                Portion(
                    part.part,
                    part.provider,
                    account.public,
                    Exact(due.num, due.den * self.asset.unit).text(),
                    decimal_text(atoms, scale),
                    pricer.tariff.id if pricer is not None else "",
                    priced.lines if kept and priced is not None else (),
                )
                for part, account, due, atoms, pricer, priced in zip(
                    prepared.route.parts, self.legs.providers, split.dues, split.portions, prepared.pricers, rated.parts,
                    strict=False,
                )
            ]
        )
        weights = prepared.weights
        shares = tuple(
            [
                Share(account.public, decimal_text(atoms, scale), weights[i].text() if weights else "")
                for i, (account, atoms) in enumerate(self.legs.indexed_shares())
                if atoms is not None
            ]
        )
        sponsor = self.legs.sponsor
        return Charge(
            charge_id,
            "usg" + charge_id[3:],
            service.id,
            self.start,
            self.asset.code,
            prepared.retail.tariff.id,
            self.decision.terms.version,
            service.apportion,
            rated.retail.exact.text(),
            decimal_text(rated.net, scale),
            decimal_text(rated.total, scale),
            decimal_text(split.platform, scale),
            self.legs.platform.public,
            decimal_text(rated.total - rated.net, scale) if rated.taxes else "0",
            decimal_text(sponsor[1], scale) if sponsor else "0",
            sponsor[0].public if sponsor else "",
            service.allocate if len(self.payers) > 1 else "",
            rated.retail.lines if kept else (),
            portions,
            shares,
            tuple(
                [
                    TaxLine(name, rate_, decimal_text(base, scale), decimal_text(tax, scale))
                    for name, rate_, base, tax in rated.taxes
                ]
            ),
        )


def rejected_line(key: Key, source: str, record: str, service: str, digest: bytes, refusal: Refusal) -> bytes:
    """A rejection as a line of the books: code and field, never the values, which may be personal."""
    return encode(
        UsageLine(
            key_id("usg", key), source, record, service, "", UsageClass.REJECTED.value, digest.hex(),
            reason=refusal.code.value, field=refusal.field if len(refusal.field) < 40 else "",
        )
    )


def instant(when: datetime) -> str:
    """An aware UTC datetime as RFC 3339 with Z."""
    return when.isoformat().replace("+00:00", "Z")


