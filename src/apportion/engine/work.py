"""The working set of one group: everything read before deciding, everything changed by it.

Decisions of a group run one after another on this set, so each sees what those before it did; nothing is read
from or written to the store in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from apportion.engine.blocks import Block
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.ledger.chart import account_key
from apportion.ledger.lines import encode
from apportion.model.account import Account, Role
from apportion.model.credit import TrustModel
from apportion.model.funding import FundingLine
from apportion.model.hold import Hold
from apportion.model.ids import number_id
from apportion.model.journal import AccountLine, AssetLine, CourseLine
from apportion.money import ATOMS_MAX, Asset, Exact
from apportion.money.exact import decimal_text
from apportion.ports import Answered, Course, Key, Opened, Person, Seen, Store, Writes


class Names:
    """What never changes once it is there, kept between groups: numbers of accounts and people, assets."""

    def __init__(self, store: Store, tenant: int) -> None:
        self._store, self._tenant = store, tenant
        self.accounts: dict[str, int] = {}
        self.people: dict[str, int] = {}
        self.payers: dict[tuple[int, str], int] = {}  # by party and currency
        self.assets: dict[str, tuple[int, Asset]] = {}
        self.funded = bool(store.fact(tenant, "funding"))  # whether anybody has more than an account
        self.funding: dict[int, FundingLine | None] = {}  # by account
        self.trust = store.fact(tenant, "trust")  # the row of the model in force; empty when no credit is followed
        self.model: tuple[str, TrustModel] | None = None
        self.soon = False  # whether something was made that should not wait until what is due is looked at again
        self.next_account, self.next_party, self.next_hold = store.next_numbers(tenant)
        self._read_assets()

    def _read_assets(self) -> None:
        count = int(self._store.fact(self._tenant, "assets") or 0)
        for number in range(1, count + 1):
            code, _, scale = self._store.fact(self._tenant, f"asset:{number}").partition("/")
            self.assets[code] = (number, Asset(code, int(scale)))

    def renew(self, free: tuple[int, int, int] | None, *, whole: bool) -> None:
        """Look again after another node wrote, to whom ``free`` numbers are left; ``whole`` when what is remembered
        here may not even be so: people were forgotten, or what was decided last was not written."""
        self.next_account, self.next_party, self.next_hold = free or self._store.next_numbers(self._tenant)
        self.funding.clear()
        if whole:
            self.funded = bool(self._store.fact(self._tenant, "funding"))
            self.trust = self._store.fact(self._tenant, "trust")
            for known in (self.accounts, self.people, self.payers, self.assets):
                known.clear()
            self._read_assets()

    def trim(self) -> None:
        """Forget the names of people when they grow many; the store finds them again."""
        if len(self.people) > 200_000:
            self.people.clear()
            self.payers.clear()
            self.funding.clear()
            self.accounts = {key: n for key, n in self.accounts.items() if not key.startswith("payer:")}


class Work:
    """One group's accounts, seen keys, totals and residues by number, and the lines it appends."""

    def __init__(
        self, store: Store, tenant: int, names: Names, at: str, salt: Callable[[], bytes], head: tuple[int, bytes]
    ) -> None:
        self.at = at
        self.names = names
        self.seen: dict[Key, Seen] = {}
        self.answered: dict[Key, Answered] = {}
        self._blocks: dict[Key, Block] = {}
        self.accounts: dict[int, Account] = {}
        self.salts: dict[int, bytes] = {}
        self.totals: dict[tuple[int, str], Exact] = {}
        self.residues: dict[int, int] = {}
        self.closed: set[tuple[str, int]] = set()
        self.crews: dict[object, list[Account]] = {}  # by route: the accounts of those who deliver
        self.writes = Writes(tenant, 0)
        self._store = store
        self._salt = salt
        self._n, self._head = head
        self._touched: set[int] = set()
        self._opened: dict[int, Opened] = {}
        self._residues: set[int] = set()
        self._holds: dict[int, Hold] = {}
        self._read: dict[int, Hold] = {}  # holds that were looked at and may be unchanged
        self._courses: dict[str, Course | None] = {}
        self._moved: set[str] = set()

    @property
    def head(self) -> tuple[int, bytes]:
        """Length and head of the chain as this group leaves it."""
        return self._n, self._head

    def append(self, *lines: bytes) -> int:
        """Add one journal row of one or several lines; its position."""
        self._head = proof.link_all(self._head, lines)
        self._n += 1
        self.writes.journal.append((self._n, b"\n".join(lines), self._head))
        return self._n

    def record(self, key: Key, state: str, digest: bytes, *lines: bytes) -> None:
        """Append ``lines`` and remember under ``key`` where they stand and in which state."""
        self.remember(key, state, digest, self.append(*lines))

    def remember(self, key: Key, state: str, digest: bytes, n: int) -> None:
        """Remember under ``key`` that its record stands in row ``n``."""
        self.seen[key] = Seen(state, digest, n)
        self.writes.seen.append((key, state, digest, n))

    def answer(self, answered: Answered) -> None:
        """Remember which record an idempotency key made."""
        self.answered[answered.key] = answered
        self.writes.answered.append(answered)

    def block(self, key: Key) -> Block:
        """A block of a long request's records."""
        found = self._blocks.get(key)
        if found is None:
            found = self._blocks[key] = Block(key, self.answered.get(key))
        return found

    def known(self, key: Key) -> Seen | None:
        """Where a key went, looked up when the prefetch did not foresee it."""
        if key not in self.seen:
            self.seen.update(self._store.seen(self.writes.tenant, [key]))
        return self.seen.get(key)

    def made(self, key: Key, digest: bytes, what: str) -> Seen | None:
        """Where the thing stands that was made under the key of a reference; None when nothing was.

        Raises:
            Refused: CONFLICT, when it was another; ``what`` says of which kind.
        """
        found = self.known(key)
        if found is not None and found.digest != digest:
            raise refuse(
                RefusalCode.CONFLICT,
                "this reference was used before for something else.",
                field="reference",
                fix=f"Every {what} needs a reference of its own.",
            )
        return found

    def asset(self, asset: Asset) -> int:
        """The number of an asset, registered in the books on first use; two scales of one code never meet."""
        known = self.names.assets.get(asset.code)
        if known is not None:
            assert known[1] == asset, f"{asset} beside {known[1]}"
            return known[0]
        number = len(self.names.assets) + 1
        self.names.assets[asset.code] = (number, asset)
        self.writes.facts += [("assets", str(number)), (f"asset:{number}", str(asset))]
        self.append(encode(AssetLine(asset.code, asset.scale)))
        return number

    def asset_of(self, account: Account) -> Asset:
        """The asset of an account."""
        return next(asset for number, asset in self.names.assets.values() if number == account.asset)

    def hold(self, number: int) -> Hold:
        """The hold of this number.

        Raises:
            Refused: NOT_FOUND.
        """
        found = self._holds.get(number) or self._read.get(number)
        if found is None:
            found = self._store.holds(self.writes.tenant, [number]).get(number)
            if found is None:
                raise refuse(RefusalCode.NOT_FOUND, f"there is no hold {number_id('hold', number)}.", field="hold")
            self._read[number] = found
        return found

    def set_hold(self, hold: Hold) -> None:
        """Note that a hold is new or changed."""
        self._holds[hold.id] = hold

    def row(self, n: int) -> bytes:
        """A journal row that was written before."""
        return self._store.row(self.writes.tenant, 0, n)

    def course(self, id: str) -> bytes:
        """The last line of what has a life of its own; empty when there is none of this id."""
        if id not in self._courses:
            self.foresee([id])
        found = self._courses[id]
        return found.line if found is not None else b""

    def foresee(self, ids: Iterable[str]) -> None:
        """Read at once how all of these stand, so that ``course`` need not ask; what was changed here stays so."""
        wanted = sorted(set(ids) - self._moved)
        if wanted:
            self._courses |= dict.fromkeys(wanted) | self._store.courses(self.writes.tenant, wanted)

    def move(self, line: CourseLine) -> bytes:
        """Note how something with a life of its own now stands; the caller appends what comes back."""
        encoded = encode(line)
        self._courses[line.id] = Course(line.id, line.due, encoded)
        self._moved.add(line.id)
        return encoded

    def own_account(self, payer: Account, role: Role, name: str) -> Account:
        """An account of a payer besides its own, for a bucket or a deferred price; opened on first mention."""
        asset = self.asset_of(payer)
        key = account_key(role, f"{payer.party}.{name}", str(asset))
        account = Account(0, "", role, payer.asset, party=payer.party)
        return self.keyed(key) or self._open(key, account, asset, name=name)

    def drop_hold(self, hold: Hold) -> None:
        """Forget a hold that was to be new."""
        self._holds.pop(hold.id, None)

    def account(self, role: Role, owner: str, asset: Asset) -> Account:
        """A provider's or the platform's account, opened on first mention."""
        key = account_key(role, owner, str(asset))
        return self.keyed(key) or self._open(key, Account(0, "", role, self.asset(asset)), asset, name=owner)

    def keyed(self, key: str) -> Account | None:
        """The account of a chart key, if there is one."""
        number = self.names.accounts.get(key)
        if number is None:
            number = self._store.account_keys(self.writes.tenant, [key]).get(key)
            if number is None:
                return None
            self.names.accounts[key] = number
        return self.numbered(number)

    def numbered(self, number: int) -> Account:
        """The account of this number, read on demand when the prefetch did not foresee it."""
        found = self.accounts.get(number)
        if found is None:
            found = self.accounts[number] = self._store.accounts(self.writes.tenant, [number])[number]
        return found

    def payer(self, name: str, asset: Asset) -> Account | None:
        """The account of a payer in this asset, by the name that usage calls them."""
        party = self.names.people.get(name)
        if party is None:
            return None
        number = self.names.payers.get((party, asset.code))
        if number is not None:
            return self.accounts.get(number) or self.numbered(number)
        return self.keyed(f"payer:{party}:{asset}")

    def open_payer(self, name: str, asset: Asset, credit: int) -> Account:
        """Open a payer's account; the name goes to the personal rows, its MAC into the chain."""
        party = self.names.people.get(name)
        if party is None:
            party = self.names.people[name] = self.names.next_party
            self.names.next_party += 1
            self.salts[party] = self._salt()
            self.writes.people += [Person(party, "handle", name), Person(party, "salt", self.salts[party])]
        account = Account(0, "", Role.PAYER, self.asset(asset), credit=credit, party=party)
        mac = proof.personal_mac(self.salts_of(party), name)
        opened = self._open(f"payer:{party}:{asset}", account, asset, mac=mac)
        self.names.payers[party, asset.code] = opened.id
        self.names.funding[opened.id] = None
        return opened

    def chance(self) -> bytes:
        """Bytes that nobody can guess, as many as a salt has."""
        return self._salt()

    def salts_of(self, party: int) -> bytes:
        """The salt of a party."""
        if party not in self.salts:
            self.salts.update(self._store.salts(self.writes.tenant, [party]))
        return self.salts[party]

    def _open(self, key: str, account: Account, asset: Asset, *, name: str = "", mac: str = "") -> Account:
        account.id = self.names.accounts[key] = self.names.next_account
        account.public = number_id("acct", account.id)
        self.names.next_account += 1
        self.accounts[account.id] = account
        opened = Opened(account, key)
        self.writes.opened.append(opened)
        party = number_id("pty", account.party) if account.party else ""
        credit = decimal_text(account.credit or 0, asset.scale)
        self.append(encode(AccountLine(account.public, account.role.value, str(asset), party, name, mac, credit)))
        return account

    def touch(self, account: Account) -> None:
        """Note that an account's balance, hold or credit line changed."""
        self._touched.add(account.id)

    def touch_all(self, movements: Iterable[tuple[Account, int]]) -> None:
        """Note that the balances of these accounts changed."""
        self._touched.update([account.id for account, _ in movements])

    def keep(self, account: Account, residue: int) -> None:
        """Add to what rounding kept from an account (10^−9 atoms)."""
        if residue:
            number = account.id
            if number not in self.residues:
                self.residues.update({number: 0} | self._store.residues(self.writes.tenant, [number]))
            kept = self.residues[number] + residue
            assert abs(kept) <= ATOMS_MAX, f"{account.public} would be left with more than rounding can keep"
            self.residues[number] = kept
            self._residues.add(number)

    def total(self, account: int, key: str) -> Exact:
        """A running total, zero when there is none yet."""
        found = self.totals.get((account, key))
        if found is None:
            stored = self._store.totals(self.writes.tenant, [(account, key)]).get((account, key))
            found = self.totals[(account, key)] = Exact(*stored) if stored else Exact(0)
        return found

    def set_total(self, account: int, key: str, value: Exact) -> None:
        """Move a running total to ``value``."""
        plain = value.reduced()
        self.totals[(account, key)] = plain
        self.writes.totals.append((account, key, plain.num, plain.den))

    def clear_total(self, account: int, key: str) -> None:
        """Start a running total anew."""
        self.totals[(account, key)] = Exact(0)

    def finish(self) -> Writes:
        """What must be written to make this group durable."""
        self.writes.answered += [block.row() for block in self._blocks.values() if block.changed]
        self.writes.accounts = [self.accounts[number] for number in sorted(self._touched)]
        self.writes.holds = list(self._holds.values())
        self.writes.courses = [course for id in sorted(self._moved) if (course := self._courses[id]) is not None]
        self.writes.residues = [(number, self.residues[number]) for number in sorted(self._residues)]
        return self.writes
