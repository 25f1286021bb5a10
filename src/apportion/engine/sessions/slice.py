"""One slice: what is charged now, so that all slices together are what the session comes to.

The fee of a slice is what the session comes to so far, rounded once, less what was booked; its atoms go one at a time
to whom most is due. So no portion is negative and the sums do not depend on how often a session is charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from apportion.engine.converting import said
from apportion.engine.sessions.bill import Bill, bill, replace
from apportion.engine.sessions.contract import ZERO, Contract, minus, parsed, read
from apportion.engine.sessions.covers import NOTHING, Bought, sole
from apportion.model.charge import Conversion
from apportion.model.session import Meter, SessionLine, SessionPayer, TaxSum
from apportion.money import Asset, Exact, common, hand_out, residues
from apportion.money.rounding import nearest
from apportion.stages.rate.amounts import within


class Slice(NamedTuple):
    """Atoms that move now: ``net`` + Σ taxes = Σ shares + bought; ``net`` + ``sponsored`` = Σ portions + ``platform``.

    ``portions`` follow the meters after the first, ``shares`` the payers, in money; ``bought`` is what comes out of
    allowances, for the one who pays alone. ``sponsored`` is what the providers cost beyond the fee. ``after`` is the
    session with all of it booked. ``own`` are the portions of those who earn in another currency, in that, and
    ``paid`` the shares of those who pay in another.
    """

    net: int
    taxes: tuple[TaxSum, ...]
    portions: list[int]
    platform: int
    sponsored: int
    shares: list[int]
    now: Bill
    after: SessionLine
    bought: Bought = NOTHING
    own: tuple[int | None, ...] = ()
    paid: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """Net and taxes."""
        return self.net + sum(tax.amount for tax in self.taxes)

    @property
    def moves(self) -> bool:
        """Whether anything is booked with it."""
        return bool(self.total or self.net or self.sponsored or self.bought.covered)


def cut(contract: Contract, line: SessionLine, limit: int | None, bought: Bought = NOTHING) -> Slice | None:
    """What is to be charged for the session as its counters stand; None when it has to wait.

    ``bought`` comes out of allowances, at most ``limit`` atoms out of money. The limit is what the payers' holds have
    open, so that nobody pays beyond a grant. It binds only where a tariff made the units dearer than they were when
    they were granted; what it cuts off waits for the next slice.
    """
    if bought.covered:
        line = replace(line, covers=bought.covers)
    now = bill(contract, line)
    over = 0 if limit is None else max(0, now.total - line_total(line) - bought.atoms - limit)
    now = _less_by(now, over) if over else now
    line = replace(line, postponed=over)
    net = now.net - line.net
    taxes = _less(now.taxes, line.taxes)
    total = net + sum(tax.amount for tax in taxes)
    if total < bought.atoms or net < bought.atoms:
        return None  # a tariff that gets cheaper on the way: it catches up with the next slices
    cost = sum(now.earned, ZERO)
    due = nearest(cost.num, cost.den)
    lack = _lack(line, due - net)
    sponsored = max(line.sponsored + lack, due - now.net) - line.sponsored
    portions, platform = _portions(line, now, net + sponsored, line.sponsored + sponsored)
    shares = share_out(contract, line, total, line_total(line) + total)
    meters = [replace(m, credited=m.credited + atoms) for m, atoms in zip(line.meters[1:], portions, strict=True)]
    own, meters = _abroad(contract, meters, now.earned)
    payers = [
        replace(p, charged=p.charged + atoms, paid=contract.paid(p, p.charged + atoms))
        for p, atoms in zip(line.payers, shares, strict=True)
    ]
    paid = tuple([p.paid - old.paid for p, old in zip(payers, line.payers, strict=True)])
    if bought.atoms:
        shares[sole(line)] -= bought.atoms
    after = replace(
        line, meters=(line.meters[0], *meters), payers=tuple(payers), net=now.net, taxes=now.taxes,
        platform=line.platform + platform, sponsored=line.sponsored + sponsored, slices=line.slices + 1,
    )  # fmt: skip
    return Slice(net, taxes, portions, platform, sponsored, shares, now, after, bought, own, paid)


def _abroad(contract: Contract, meters: list[Meter], earned: list[Exact]) -> tuple[tuple[int | None, ...], list[Meter]]:
    """What those earn now who earn in another currency: what is due so far, rounded once, less what was booked."""
    own, after = list[int | None](), list[Meter]()
    for meter, exact in zip(meters, earned, strict=True):
        due = contract.own_due(meter, exact)
        away = contract.own_asset(meter) is not None
        paid = nearest(due.num, due.den) if away else 0
        own.append(paid - meter.paid if away else None)
        after.append(replace(meter, paid=paid))
    return tuple(own), after


def converted_of(contract: Contract, line: SessionLine, found: Slice) -> list[Conversion | None]:
    """By meter after the first, what a slice converts of its portion; ``line`` is the session before it."""
    conversions = list[Conversion | None]()
    for meter, exact, own in zip(line.meters[1:], found.now.earned, found.own, strict=True):
        asset = contract.own_asset(meter)
        if asset is None or own is None or meter.rate is None:
            conversions.append(None)
            continue
        due = (contract.own_due(meter, exact) - Exact(meter.paid)).over(Exact(asset.unit))
        conversions.append(said(meter.rate, asset, own, due.reduced()))
    return conversions


def _less_by(now: Bill, over: int) -> Bill:
    """A bill of so many atoms less, net and each tax by what it is of the total."""
    pairs = [(tax.base, tax.amount) for tax in now.taxes]
    parts, untaxed = within(now.total - over, pairs, now.net - sum(base for base, _ in pairs))
    taxes = tuple(replace(tax, base=base, amount=part) for tax, (base, part) in zip(now.taxes, parts, strict=True))
    return now._replace(net=untaxed + sum(base for base, _ in parts), taxes=taxes)


def _lack(line: SessionLine, due: int) -> int:
    """What the providers would not get of what is due to them: a slice can cost more than it brings.

    The platform keeps what it earned before, as with records, and a sponsor adds the lack at once, so that nobody waits
    for a portion; what rounding alone shifts comes with later slices.
    """
    lack = due - sum(meter.credited for meter in line.meters[1:])
    return lack if lack > len(line.meters) else 0


def line_total(line: SessionLine) -> int:
    """What was booked so far, taxes included."""
    return line.net + sum(tax.amount for tax in line.taxes)


def _less(now: Sequence[TaxSum], before: Sequence[TaxSum]) -> tuple[TaxSum, ...]:
    known = {(tax.name, tax.rate): tax for tax in before}
    found = []
    for tax in now:
        old = known.get((tax.name, tax.rate), TaxSum(tax.name, tax.rate, 0, 0))
        if (tax.base, tax.amount) != (old.base, old.amount):
            found.append(TaxSum(tax.name, tax.rate, tax.base - old.base, tax.amount - old.amount))
    return tuple(found)


def _portions(line: SessionLine, now: Bill, atoms: int, sponsored: int) -> tuple[list[int], int]:
    """The atoms of a slice among the parts and the platform, each by what is due to it so far."""
    nums, den = platform_last(line, now, sponsored)
    given = hand_out(atoms, nums, den, ranks([(m.provider, m.part) for m in line.meters[1:]]))
    return given[:-1], given[-1]


def platform_last(line: SessionLine, now: Bill, sponsored: int) -> tuple[list[int], int]:
    """What is still due to each part and, last, to the platform: numerators over one denominator."""
    dues = [exact - Exact(m.credited) for exact, m in zip(now.earned, line.meters[1:], strict=True)]
    dues.append(Exact(now.net + sponsored - line.platform) - sum(now.earned, ZERO))
    return common(dues)


def ranks(ids: Sequence[object]) -> list[int]:
    """The rank of each id, and of one more behind them all."""
    order = sorted(range(len(ids)), key=lambda i: str(ids[i]))
    found = [0] * len(ids)
    for rank, i in enumerate(order):
        found[i] = rank
    return [*found, len(ids)]


def exchange_name(asset: Asset) -> str:
    """What stands for the exchange account of an asset among accounts by their ids."""
    return f"exchange {asset}"


def leftovers(contract: Contract, line: SessionLine) -> list[tuple[str, int]]:
    """What rounding kept from each account (10^−9 atoms) when a session ends; the platform's has no name here.

    Exchange accounts go by ``exchange_name``.
    """
    if not line.slices:
        return []  # nothing was delivered, so nothing is due of what delivering would have cost
    now = bill(contract, line)._replace(net=line.net)
    nums, den = platform_last(line, now, line.sponsored)
    kept = residues(nums, den, [0] * len(nums))
    found = [("", kept[-1])]
    for meter, gone, exact in zip(line.meters[1:], kept, now.earned, strict=False):
        asset = contract.own_asset(meter)
        found.append((meter.account if asset is None else exchange_name(contract.asset), gone))
        if asset is not None:
            due = contract.own_due(meter, exact)
            mine = residues([due.num], due.den, [meter.paid])[0]
            found += [(meter.account, mine), (exchange_name(asset), -mine)]
    if len(line.payers) > 1 and any(payer.pays for payer in line.payers):
        owes = owed(contract, line, line_total(line))
        nums, den = common([o - Exact(p.charged) for o, p in zip(owes, line.payers, strict=True)])
        given = residues(nums, den, [0] * len(nums))
        here = exchange_name(contract.asset)
        found += [(here if p.rate else p.account, -part) for p, part in zip(line.payers, given, strict=True)]
    return [(account, part) for account, part in found if part]


# ── payers ──


def weights(contract: Contract, line: SessionLine) -> list[Exact]:
    """What each payer weighs since the payers last changed; zero for those who pay nothing or have left."""
    rule = contract.terms.service.allocate
    paying = [payer.pays and not payer.left for payer in line.payers]
    if rule == "cost" and sum(paying) > 1:
        found = [_alone(contract, line, payer) for payer in line.payers]
    elif rule == "shares":
        found = [Exact.parse(payer.weight) if payer.weight else Exact(1) for payer in line.payers]
    else:
        found = [Exact(1)] * len(paying)
    found = [weight if pays else ZERO for weight, pays in zip(found, paying, strict=True)]
    if not any(found):
        found = [Exact(int(pays)) for pays in paying]
    return found


def _alone(contract: Contract, line: SessionLine, payer: SessionPayer) -> Exact:
    """The retail price of what one payer alone used since the payers last changed."""
    quantities = minus(read(payer.used), read(payer.base))
    if not any(quantities.values()):
        return ZERO
    return contract.price(contract.retail, line.since, parsed(line.through), quantities).exact


def owed(contract: Contract, line: SessionLine, total: int) -> list[Exact]:
    """The exact share of each payer, in atoms, when the session comes to ``total``."""
    some = weights(contract, line)
    mass = sum(some, ZERO)
    since = Exact(total - line.shared)
    return [
        Exact.parse(payer.owed) + ((since * weight).over(mass) if mass else ZERO)
        for payer, weight in zip(line.payers, some, strict=True)
    ]


def share_out(contract: Contract, line: SessionLine, atoms: int, total: int) -> list[int]:
    """``atoms`` of a slice among the payers, each by what it still owes of ``total``; none when nobody pays."""
    if not any(payer.pays for payer in line.payers):
        return [0] * len(line.payers)
    exact = owed(contract, line, total)
    nums, den = common([o - Exact(p.charged) for o, p in zip(exact, line.payers, strict=True)])
    return hand_out(atoms, nums, den, ranks([p.account for p in line.payers])[:-1])
