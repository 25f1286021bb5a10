"""The working set of one group: everything read before deciding, everything changed by it.

Decisions of a group run one after another on this set, so each sees what those before it did; nothing is read
from or written to the store in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.ledger.chart import account_key
from apportion.ledger.lines import encode
from apportion.model.account import Account, Role
from apportion.model.hold import Hold
from apportion.model.ids import number_id
from apportion.model.journal import AccountLine, AssetLine, CourseLine
from apportion.money import Asset, Exact
from apportion.money.exact import decimal_text
from apportion.ports import Answered, Course, Key, Opened, Person, Seen, Store, Writes


class Names:
    """What never changes once it is there, kept between groups: numbers of accounts and people, assets."""

    def __init__(self, store: Store, tenant: int) -> None:
        self.accounts: dict[str, int] = {}
        self.people: dict[str, int] = {}
        self.payers: dict[tuple[int, str], int] = {}  # by party and currency
        self.assets: dict[str, tuple[int, Asset]] = {}
        self.next_account, self.next_party, self.next_hold = store.next_numbers(tenant)
        count = int(store.fact(tenant, "assets") or 0)
        for number in range(1, count + 1):
            code, _, scale = store.fact(tenant, f"asset:{number}").partition("/")
            self.assets[code] = (number, Asset(code, int(scale)))

    def trim(self) -> None:
        """Forget the names of people when they grow many; the store finds them again."""
        if len(self.people) > 200_000:
            self.people.clear()
            self.payers.clear()
            self.accounts = {key: n for key, n in self.accounts.items() if not key.startswith("payer:")}


class Work:
    """One group's accounts, seen keys, totals and residues by number, and the lines it appends."""

    def __init__(self, store: Store, tenant: int, names: Names, at: str, salt: Callable[[], bytes]) -> None:
        self.at = at
        self.names = names
        self.seen: dict[Key, Seen] = {}
        self.answered: dict[Key, Answered] = {}
        self.accounts: dict[int, Account] = {}
        self.salts: dict[int, bytes] = {}
        self.totals: dict[tuple[int, str], Exact] = {}
        self.residues: dict[int, int] = {}
        self.closed: set[tuple[str, int]] = set()
        self.crews: dict[object, list[Account]] = {}  # by route: the accounts of those who deliver
        self.writes = Writes(tenant, 0)
        self._store = store
        self._salt = salt
        self._n, self._head = store.head(tenant, 0)
        self._touched: set[int] = set()
        self._opened: dict[int, Opened] = {}
        self._residues: set[int] = set()
        self._holds: dict[int, Hold] = {}
        self._courses: dict[str, Course] = {}
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
        n = self.append(*lines)
        self.seen[key] = Seen(state, digest, n)
        self.writes.seen.append((key, state, digest, n))

    def answer(self, answered: Answered) -> None:
        """Remember which record an idempotency key made."""
        self.answered[answered.key] = answered
        self.writes.answered.append(answered)

    def known(self, key: Key) -> Seen | None:
        """Where a key went, looked up when the prefetch did not foresee it."""
        if key not in self.seen:
            self.seen.update(self._store.seen(self.writes.tenant, [key]))
        return self.seen.get(key)

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
        found = self._holds.get(number) or self._store.holds(self.writes.tenant, [number]).get(number)
        if found is None:
            raise refuse(RefusalCode.NOT_FOUND, f"there is no hold {number_id('hold', number)}.", field="hold")
        return found

    def set_hold(self, hold: Hold) -> None:
        """Note that a hold is new or changed."""
        self._holds[hold.id] = hold

    def course(self, id: str) -> bytes:
        """The last line of what has a life of its own; empty when there is none of this id."""
        found = self._courses.get(id)
        if found is None:
            found = self._store.courses(self.writes.tenant, [id]).get(id)
            if found is not None:
                self._courses[id] = found
        return found.line if found is not None else b""

    def move(self, line: CourseLine) -> bytes:
        """Note how something with a life of its own now stands; the caller appends what comes back."""
        encoded = encode(line)
        self._courses[line.id] = Course(line.id, line.due, encoded)
        self._moved.add(line.id)
        return encoded

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
        return opened

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
            self.residues[number] += residue
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
        self.writes.accounts = [self.accounts[number] for number in sorted(self._touched)]
        self.writes.holds = list(self._holds.values())
        self.writes.courses = [self._courses[id] for id in sorted(self._moved)]
        self.writes.residues = [(number, self.residues[number]) for number in sorted(self._residues)]
        return self.writes
