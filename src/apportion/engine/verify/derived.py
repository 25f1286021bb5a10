"""A store's tables against what the journal's lines add up to."""

from __future__ import annotations

import msgspec
from blake3 import blake3

from apportion.engine.catalogs import canonical, catalog_id, without_people
from apportion.engine.verify.audit import Audit
from apportion.engine.verify.books import Standing, loose_atoms
from apportion.engine.verify.rerate import plain
from apportion.ledger import proof
from apportion.model.account import Account
from apportion.model.catalog import Catalog
from apportion.model.ids import number_id, read_number
from apportion.model.plan import PLAN
from apportion.ports import Store


class _Plan(msgspec.Struct):
    """What must be known of a plan here: the digest of its candidates."""

    digest: str


class Derived:
    """Compares accounts, holds, residues, running totals, closed periods, facts, parked usage and people."""

    def __init__(self, audit: Audit, store: Store, tenant: int) -> None:
        self.audit, self.store, self.tenant = audit, store, tenant
        self.findings = audit.findings
        self.facts = store.facts(tenant)

    def check(self) -> None:
        """All of them."""
        self._accounts()
        self._holds()
        self._residues()
        self._running()
        self._closed()
        self._facts()
        self._catalogs()
        self._statements()
        self._candidates()
        self._courses()
        self._pending()
        self._people()

    def _differs(self, table: str, key: object, record: str, stored: object, derived: object) -> None:
        if stored != derived:
            self.findings.add(table, f"{table} {key}", record, f"the table has {stored}, the books give {derived}.")

    def _accounts(self) -> None:
        opened = dict(self.audit.books.accounts)
        for key, account in self.store.all_accounts(self.tenant):
            standing = opened.pop(account.public, None)
            if standing is None:
                self.findings.add("account", f"account {account.id}", account.public, "no line of the books opens it.")
                continue
            self._differs("account", account.id, account.public, self._stored(key, account), _derived(standing))
        for name in opened:
            self.findings.add("account", f"account {read_number(name)}", name, "is missing from the table.")

    def _stored(self, key: str, account: Account) -> dict[str, object]:
        return {
            "key": key,
            "asset": self.facts.get(f"asset:{account.asset}", ""),
            "posted": account.posted,
            "held": account.held,
            "credit": account.credit or 0,
        }

    def _holds(self) -> None:
        lines = dict(self.audit.books.holds)
        for hold in self.store.all_holds(self.tenant):
            name = number_id("hold", hold.id)
            line = lines.pop(name, None)
            if line is None:
                self.findings.add("hold", f"hold {hold.id}", name, "no line of the books places it.")
                continue
            scale = self.audit.books.standing(line.account).scale
            amounts = [loose_atoms(text, scale) for text in (line.amount, line.captured, line.released)]
            self._differs(
                "hold", hold.id, name,
                [number_id("acct", hold.account), hold.owner, hold.expires, hold.state.value,
                 hold.amount, hold.captured, hold.released],
                [line.account, line.owner, line.expires, line.state, *amounts],
            )  # fmt: skip
        for name in lines:
            self.findings.add("hold", f"hold {read_number(name)}", name, "is missing from the table.")

    def _residues(self) -> None:
        stored = {number_id("acct", n): value for n, value in self.store.all_residues(self.tenant).items() if value}
        derived = {name: value for name, value in self.audit.rerating.residues.items() if value}
        for name in sorted(stored.keys() | derived.keys()):
            self._differs("residue", read_number(name), name, stored.get(name, 0), derived.get(name, 0))

    def _running(self) -> None:
        derived = plain(self.audit.rerating.totals)
        for number, key, num, den in self.store.all_totals(self.tenant):
            name = number_id("acct", number)
            self._differs("running", f"{number} {key}", name, (num, den), derived.pop((name, key), (0, 1)))
        for (name, key), pair in derived.items():
            self._differs("running", f"{read_number(name)} {key}", name, (0, 1), pair)

    def _closed(self) -> None:
        stored = {(period, number_id("acct", n)) for period, n in self.store.closed_periods(self.tenant)}
        for period, name in sorted(stored ^ self.audit.closings.closed):
            where = "table" if (period, name) in stored else "books"
            self.findings.add("closed", f"closed {period}", name, f"is closed in the {where} alone.")

    def _facts(self) -> None:
        assets = self.audit.books.assets
        for number, (code, scale) in enumerate(assets.items(), 1):
            self._differs("fact", f"asset:{number}", code, self.facts.get(f"asset:{number}"), f"{code}/{scale}")
        self._differs("fact", "assets", "", int(self.facts.get("assets", "0")), len(assets))
        self._differs("fact", "trust", "", int(self.facts.get("trust") or 0), self.audit.credits.model_row)
        latest = blake3(self.audit.latest).hexdigest(16) if self.audit.latest else ""
        self._differs("fact", "checkpoint", "", self.facts.get("checkpoint", ""), latest)
        force = self.facts.get("catalog", "")
        if (force or self.audit.rerating.catalogs) and force not in self.audit.rerating.catalogs:
            self.findings.add("fact", "fact catalog", force, "the catalog in force is not in the books.")

    def _catalogs(self) -> None:
        """The full catalogs beside the chain must be the public ones of the chain, with payers added."""
        for version in self.audit.rerating.catalogs:
            place = f"document {version}"
            try:
                catalog = msgspec.json.decode(self.store.document(self.tenant, version), type=Catalog)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                self.findings.add("document", place, version, f"can not be read: {error}")
                continue
            self._differs("document", version, version, catalog_id(canonical(without_people(catalog))), version)

    def _statements(self) -> None:
        """Statements and evidence are those that the books hold the digest of; those of the forgotten are gone."""
        for name, digest in (*self.audit.statements.digests.items(), *self.audit.disputes.digests.items()):
            body = self.store.document(self.tenant, name)
            if body:
                self._differs("document", name, name, blake3(body).hexdigest(), digest)
            elif not self.audit.forgotten:
                self.findings.add("document", f"document {name}", name, "is missing, and nobody was forgotten.")

    def _candidates(self) -> None:
        """What a plan was chosen from is what the books hold the digest of; that of the forgotten is gone."""
        for course in self.store.all_courses(self.tenant, PLAN):
            if not course.id.startswith(PLAN):
                return
            body, digest = (
                self.store.document(self.tenant, course.id),
                msgspec.json.decode(course.line, type=_Plan).digest,
            )
            if body:
                self._differs("document", course.id, course.id, blake3(body).hexdigest(16), digest)
            elif not self.audit.forgotten:
                self.findings.add("document", f"document {course.id}", course.id, "is missing; nobody was forgotten.")

    def _courses(self) -> None:
        """What has a life of its own stands as its last line says."""
        derived = dict(self.audit.courses)
        for course in self.store.all_courses(self.tenant):
            stands = course.due, blake3(course.line).digest(16)
            if derived.pop(course.id, None) != stands:
                self.findings.add("course", f"course {course.id}", course.id, "is not what the books say last of it.")
        for id in derived:
            self.findings.add("course", f"course {id}", id, "is missing from the table.")

    def _pending(self) -> None:
        """Parked usage is the record that was received, and nothing that was charged is still parked."""
        after, parked = b"", 0
        while page := self.store.pending(self.tenant, 1000, after):
            after, parked = page[-1][0], parked + len(page)
            seen = self.store.seen(self.tenant, [key for key, _ in page])
            for key, payload in page:
                known = seen.get(key)
                if known is None or known.state != "pending" or known.digest != blake3(payload).digest(8):
                    self.findings.add("pending", f"pending {key.hex()}", "", "is not what the books received.")
        noted = sum(seen.state == "pending" for _, seen in self.store.all_seen(self.tenant))
        if parked != noted and not self.audit.forgotten:
            self.findings.add("pending", "pending", "", f"{noted} records wait by the books, {parked} are there.")

    def _people(self) -> None:
        """The name that usage calls a payer is the one whose MAC the chain holds: nobody else pays for them."""
        names = self.store.all_handles(self.tenant)
        parties = {
            read_number(standing.line.party): standing.line
            for standing in self.audit.books.accounts.values()
            if standing.line.role == "payer" and standing.line.party not in self.audit.forgotten
        }
        salts = self.store.salts(self.tenant, sorted(parties))
        for number, line in parties.items():
            salt, name = salts.get(number), names.get(number)
            if salt is None or name is None or proof.personal_mac(salt, name) != line.mac:
                self.findings.add(
                    "personal", f"personal {number}", line.id, "its name is not the one that the chain holds."
                )
        for number in names.keys() - parties.keys():
            self.findings.add("personal", f"personal {number}", "", "a name without an account in the books.")


def _derived(standing: Standing) -> dict[str, object]:
    line = standing.line
    owner = ".".join(filter(None, (str(read_number(line.party)) if line.party else "", line.name)))
    return {
        "key": f"{line.role}:{owner}:{line.asset}",
        "asset": line.asset,
        "posted": standing.posted,
        "held": standing.held,
        "credit": standing.credit,
    }
