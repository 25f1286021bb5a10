"""A charge in plain words with its arithmetic, for whom it is for: who sees what is decided here, not in a face.

*User*: what was used, evidence, retail price, tax, who paid, who delivered, a mark where somebody sponsors; no
wholesale price, portion or margin, from any of which the others could be computed. *Provider*: its own part, evidence,
rule and arithmetic; under fixed shares also the fee that is shared. *Operator*: everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from apportion.engine.subject import Subject as Subject
from apportion.engine.subject import exchanged
from apportion.errors import RefusalCode, refuse
from apportion.model.charge import Portion, PriceLine, Share
from apportion.money import Exact
from apportion.money.exact import ZERO

_RULES = {
    "wholesale": "each provider earns its own wholesale price, the platform keeps what is left",
    "shares": "the fee is shared by the weights that were agreed",
    "quantity": "the fee is shared by the quantity that each part measured",
    "cost": "the fee is shared by what each part cost",
}
_SOURCES = {
    "bucket": "from a bucket, before the rest", "allowance": "paid for when the allowance was bought",
    "alternate": "from an alternate account, as the own value was used up", "credit": "on the credit line",
}  # fmt: skip
_SPLITS = {
    "equal": "equally", "shares": "by agreed weights", "cost": "by the cost of serving each",
    "least-cost": "by what serving each costs under the agreements that make the whole cheapest, nobody above its own",
}  # fmt: skip


class View(msgspec.Struct, frozen=True):
    """For whom an explanation is; ``name`` is the payer or provider, ``part`` narrows a provider's view to one part."""

    kind: Literal["user", "provider", "operator"] = "operator"
    name: str = ""
    part: str = ""

    @classmethod
    def parse(cls, text: str) -> View:
        """``operator``, ``user``, ``user=NAME`` or ``provider=NAME``.

        Raises:
            Refused: BAD_INPUT.
        """
        kind, _, name = text.partition("=")
        if kind == "operator" and not name:
            return cls()
        if kind == "user":
            return cls("user", name)
        if kind == "provider" and name:
            return cls("provider", name)
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"{text[:40]!r} is no view.",
            field="view",
            fix="One of operator, user, user=NAME, provider=NAME.",
        )


class Fact(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of an explanation: its ``name``, its ``value``, and how it came about."""

    name: str
    value: str
    note: str = ""


class Section(msgspec.Struct, frozen=True, omit_defaults=True):
    """Facts under a heading, with a sentence before them where one is needed."""

    title: str
    facts: tuple[Fact, ...]
    text: str = ""


class Explanation(msgspec.Struct, frozen=True):
    """Everything that one viewer may know of a record; ``check`` says what adds up, ``holds`` whether it does."""

    id: str
    view: str
    title: str
    sections: tuple[Section, ...]
    check: str
    holds: bool


def explain_charge(subject: Subject, view: View) -> Explanation:
    """The charge as ``view`` may see it.

    Raises:
        Refused: NOT_FOUND, when the named provider or payer has no part in it.
    """
    if view.kind == "provider":
        return _for_provider(subject, view)
    return _for_user(subject, view) if view.kind == "user" else _for_operator(subject)


# ── what all views are made of ──


def _used(subject: Subject, parts: Sequence[str] | None = None) -> Section:
    """What was used and when; ``parts`` narrows the quantities of parts to those named."""
    usage, charge = subject.record.usage, subject.charge
    facts = [Fact("service", charge.service), Fact("from" if usage.end else "at", usage.start or charge.at)]
    facts += [Fact("until", usage.end)] if usage.end else []
    facts += [Fact("counts in", usage.period, "the period of its running totals")] if usage.period else []
    facts += [Fact("origin", charge.origin, "an adjustment, not a use of its own")] if charge.origin else []
    facts += [Fact(measure, subject.quantity(measure, text)) for measure, text in usage.quantities.items()]
    for part in usage.parts:
        if parts is None or part.part in parts:
            for measure, text in part.quantities.items():
                facts.append(Fact(f"{part.part} {measure}", subject.quantity(measure, text), f"by {part.provider}"))
    return Section("What was used", tuple(facts))


def _evidence(subject: Subject) -> Section:
    usage = subject.record.usage
    facts = [Fact(name, value or "(personal, kept apart)") for name, value in usage.attributes.items()]
    if usage.source:
        facts.append(Fact("record", f"{usage.source} {usage.id}", f"digest {usage.digest}"))
    return Section("Evidence", tuple(facts))


def _price_lines(subject: Subject, lines: Sequence[PriceLine]) -> Iterator[Fact]:
    for line in lines:
        amount = subject.money(line.exact)
        if line.measure:
            words = f"{subject.quantity(line.measure, line.quantity)} at {line.price}"
        else:
            words = f"{line.quantity} × {line.price}" if line.price and line.quantity != "1" else ""
        by = f"by {line.tariff}" if line.tariff not in ("", subject.charge.tariff) else ""
        yield Fact(line.component, amount, "; ".join(filter(None, [words, by, line.note])))


def _price(subject: Subject, terms: Sequence[str] = ()) -> Section:
    """What it costs; ``terms`` narrows the lines to those of some tariffs."""
    charge = subject.charge
    lines = [line for line in charge.lines if not terms or line.tariff in ("", *terms)]
    facts = list(_price_lines(subject, lines))
    for one in charge.allowances:
        units = subject.quantity(one.measure, one.units)
        note = f"of the price of the allowance {one.allowance}"
        facts.append(Fact(f"{units} covered", subject.money(one.amount), note))
    rounded = "" if Exact.parse(charge.exact) == Exact.parse(charge.amount) else f"rounded from {charge.exact}"
    facts.append(Fact("fee", subject.money(charge.amount), rounded))
    for tax in charge.taxes:
        facts.append(Fact(f"tax {tax.name}", subject.money(tax.amount), f"{tax.rate} % of {subject.money(tax.base)}"))
    if charge.taxes:
        facts.append(Fact("total", subject.money(charge.total)))
    names = ", ".join(dict.fromkeys(line.tariff or charge.tariff for line in lines)) or charge.tariff
    return Section("What it costs", tuple(facts), f"By the tariff{'s' * (', ' in names)} {names}." * bool(names))


def _rounding(exact: str, amount: str) -> str:
    if not exact or Exact.parse(exact) == Exact.parse(amount):
        return ""
    return f"exactly {exact}; whole atoms by largest remainder, the rest is kept and trued up"


# ── the three views ──


def _for_operator(subject: Subject) -> Explanation:
    charge, entry = subject.charge, subject.record.entry
    paying = ", ".join(dict.fromkeys(subject.owner(share.bearer) for share in charge.shares)) or "nobody"
    terms = [
        Fact("catalog", charge.catalog),
        Fact("tariff", charge.tariff),
        Fact("usage", charge.usage or "none"),
        Fact("entry", entry.id) if entry is not None else Fact("entry", "none", "nothing moved"),
    ]
    check, holds = _adds_up(subject)
    return Explanation(
        charge.id,
        "operator",
        f"{subject.money(charge.total)} for {charge.service}, paid by {paying}",
        (
            _used(subject),
            _evidence(subject),
            _price(subject),
            _paid(subject),
            _earned(subject),
            Section("Terms and books", tuple(terms)),
        ),
        check,
        holds,
    )


def _paid(subject: Subject) -> Section:
    charge = subject.charge
    facts = []
    for share in charge.shares:
        weight = f"weight {share.weight}" if share.weight and charge.allocation != "equal" else ""
        notes = [weight, _served(subject, share), _SOURCES.get(share.source, "")]
        notes += [share.payer and f"for {subject.owner(share.payer)}", exchanged(share.converted, charge.currency)]
        facts.append(Fact(subject.owner(share.account), subject.money(share.amount), "; ".join(filter(None, notes))))
    facts += [
        Fact(subject.owner(use.payer), "nothing", "takes part and does not pay" + ", the others bear it" * bool(facts))
        for use in subject.record.usage.payers
        if not use.pays
    ]
    if charge.sponsored != "0":
        note = "carries what nobody pays" if not charge.shares else "carries what the fee falls short of the cost"
        facts.append(Fact(f"sponsor {subject.owner(charge.sponsor)}", subject.money(charge.sponsored), note))
    for one in charge.held:
        facts.append(
            Fact(f"agreement of {subject.owner(one.account)}", one.tariff, f"{one.provider} {one.part}".strip())
        )
    text = f"Split {_SPLITS.get(charge.allocation, charge.allocation)}." if charge.allocation else ""
    return Section("Who pays", tuple(facts), text)


def _served(subject: Subject, share: Share) -> str:
    """Under which tariffs a payer was served at least cost."""
    by = ", ".join(dict.fromkeys(share.terms))
    return f"served by {by}, alone {subject.money(share.alone)}" if by else ""


def _earned(subject: Subject) -> Section:
    charge = subject.charge
    facts: list[Fact] = []
    for portion in charge.portions:
        facts += _portion(subject, portion)
    facts.append(Fact("platform", subject.money(charge.platform), "what is left" * (charge.rule == "wholesale")))
    return Section("Who earns", tuple(facts), _RULES.get(charge.rule, charge.rule).capitalize() + ".")


def _portion(subject: Subject, portion: Portion) -> Iterator[Fact]:
    by = f"by the tariff {portion.tariff}" if portion.tariff else ""
    own = exchanged(portion.converted, subject.charge.currency)
    note = "; ".join(filter(None, [by, own, _rounding(portion.exact, portion.amount)]))
    yield Fact(f"{portion.provider} ({portion.part})", subject.money(portion.amount), note)
    for line in _price_lines(subject.of(portion.converted), portion.lines):
        yield Fact(f"  {line.name}", line.value, line.note)


def _adds_up(subject: Subject) -> tuple[str, bool]:
    charge = subject.charge
    paid = _sum(share.amount for share in charge.shares)
    sponsored, platform, tax = (Exact.parse(text) for text in (charge.sponsored, charge.platform, charge.tax))
    portions = _sum(portion.amount for portion in charge.portions)
    holds = paid + sponsored == portions + platform + tax
    holds = holds and Exact.parse(charge.amount) + tax == Exact.parse(charge.total)
    text = {
        name: subject.number(exact.text())
        for name, exact in (
            ("paid", paid),
            ("sponsored", sponsored),
            ("portions", portions),
            ("platform", platform),
            ("tax", tax),
        )
    }
    left = f"paid {text['paid']}" + (f" + sponsored {text['sponsored']}" if sponsored else "")
    right = f"portions {text['portions']} + platform {text['platform']}" + (f" + tax {text['tax']}" if tax else "")
    return f"{left} {'=' if holds else '≠'} {right}", holds


def _sum(amounts: Iterator[str]) -> Exact:
    total = ZERO
    for text in amounts:
        total += Exact.parse(text)
    return total


def _for_user(subject: Subject, view: View) -> Explanation:
    charge = subject.charge
    accounts = list(dict.fromkeys(share.bearer for share in charge.shares))
    mine = [account for account in accounts if view.name in (subject.owner(account), account)]
    on_it = [p.payer for p in subject.record.usage.payers]
    if view.name and not mine and view.name not in {name for a in on_it for name in (a, subject.owner(a))}:
        drawn = [s for s in charge.shares if view.name in (subject.owner(s.account), s.account)]
        if drawn:
            return _only_drawn(subject, drawn)
        raise refuse(RefusalCode.NOT_FOUND, f"{view.name[:60]!r} has no part in {charge.id}.", field="view")
    if len(accounts) == 1:
        names = {accounts[0]: subject.owner(accounts[0])}
    else:
        names = {account: f"payer {place}" for place, account in enumerate(accounts, 1)}
        names |= {account: subject.owner(account) for account in mine}
    delivered = tuple(Fact(portion.part, portion.provider) for portion in charge.portions)
    pays = _paid_by_user(subject, names)
    prices = _price(subject, [name for share in charge.shares if share.bearer in mine for name in share.terms])
    sections = (_used(subject), Section("Who delivered", delivered), _evidence(subject), prices, pays)
    paid, total, tax = _sum(s.amount for s in charge.shares), Exact.parse(charge.total), Exact.parse(charge.tax)
    holds = Exact.parse(charge.amount) + tax == total and (paid == total or not charge.shares)
    sums = f"fee {subject.number(charge.amount)}" + (f" + tax {subject.number(charge.tax)}" if tax else "")
    check = f"{sums} {'=' if holds else '≠'} {'paid' if charge.shares else 'sponsored'} {subject.number(charge.total)}"
    title = f"{subject.money(charge.total)} for {charge.service}"
    return Explanation(charge.id, "user", title, sections, check, holds)


def _only_drawn(subject: Subject, drawn: Sequence[Share]) -> Explanation:
    """What the owner of an alternate learns: how much was drawn, nothing of the use."""
    facts = tuple(Fact(subject.owner(s.account), subject.money(s.amount), _SOURCES.get(s.source, "")) for s in drawn)
    amount = subject.money(_sum(share.amount for share in drawn).text())
    title = f"{amount} drawn for another's {subject.charge.service}"
    return Explanation(subject.charge.id, "user", title, (Section("What was drawn", facts),), "", True)


def _paid_by_user(subject: Subject, names: Mapping[str, str]) -> Section:
    """Who paid; of a sponsor only that there is one: its amount would tell what the providers cost."""
    charge = subject.charge
    facts, others = list[Fact](), dict[str, Exact]()
    for share in charge.shares:
        if len(names) == 1 or names[share.bearer] == subject.owner(share.bearer):
            own = exchanged(share.converted, charge.currency)
            notes = filter(None, [_served(subject, share), _SOURCES.get(share.source, ""), own])
            facts.append(Fact(names[share.bearer], subject.money(share.amount), "; ".join(notes)))
        else:  # how others are funded is theirs to know
            others[share.bearer] = others.get(share.bearer, ZERO) + Exact.parse(share.amount)
    facts += [Fact(names[bearer], subject.money(amount.text())) for bearer, amount in others.items()]
    if charge.sponsored != "0":
        facts.append(Fact("sponsored", "yes", f"{subject.owner(charge.sponsor)} carries a part of it"))
    text = f"Split {_SPLITS.get(charge.allocation, charge.allocation)}." if charge.allocation else ""
    return Section("Who pays", tuple(facts), text)


def _for_provider(subject: Subject, view: View) -> Explanation:
    subject = subject.earned_by(view.name)
    charge = subject.charge
    mine = [p for p in charge.portions if p.provider == view.name and view.part in ("", p.part)]
    if not mine:
        raise refuse(RefusalCode.NOT_FOUND, f"provider {view.name[:60]!r} has no part in {charge.id}.", field="view")
    facts: list[Fact] = []
    for portion in mine:
        facts += _portion(subject, portion)
    if charge.rule == "shares":
        facts.append(Fact("fee that is shared", subject.money(charge.amount), "before tax"))
    names = [portion.part for portion in mine]
    check, holds = _own_sum(subject, mine)
    total = _sum(portion.amount for portion in mine).text()
    return Explanation(
        charge.id,
        f"provider={view.name}",
        f"{subject.money(total)} for {', '.join(names)} of {charge.service}",
        (
            _used(subject, names),
            _evidence(subject),
            Section("What it earns", tuple(facts), _RULES.get(charge.rule, charge.rule).capitalize() + "."),
        ),
        check,
        holds,
    )


def _own_sum(subject: Subject, mine: Sequence[Portion]) -> tuple[str, bool]:
    """What a provider can check by itself: its lines give its due, and its due gives what was credited."""
    words, holds = [], True
    for portion in mine:
        amount = Exact.parse(portion.amount)
        due = Exact.parse(portion.exact) if portion.exact else amount
        kept, atom = due - amount, Exact(1, 10 ** len(portion.amount.partition(".")[2]))
        holds = holds and -atom < kept and kept < atom
        lines = _sum(line.exact for line in portion.lines)
        start = f"{portion.part}: "
        if len(portion.lines) > 1 and lines == due:
            start += " + ".join(subject.number(line.exact) for line in portion.lines) + " = "
        words.append(f"{start}due {subject.number(due.text())}, credited {subject.number(portion.amount)}")
    return "; ".join(words), holds
