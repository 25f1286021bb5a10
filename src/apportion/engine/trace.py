"""Every unit of money of one account, from where it came and to where it went, summed by counterparty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.query import AccountView
from apportion.errors import RefusalCode, refuse
from apportion.model.charge import Charge
from apportion.model.journal import Entry
from apportion.money import spread
from apportion.money.exact import decimal_text


class Step(msgspec.Struct, frozen=True):
    """One entry on the account: when, why, for which service, by how much, and the balance after it."""

    at: str
    entry: str
    cause: str
    kind: str
    service: str
    amount: str
    balance: str


class Flow(msgspec.Struct, frozen=True):
    """All money between the account and one counterparty for one service: what came ``into`` it, what went ``out``."""

    account: str
    role: str
    owner: str
    service: str
    into: str
    out: str
    entries: int


class Trace(msgspec.Struct, frozen=True):
    """The account, its entries in order, and its flows; Σ into − Σ out = the balance, which ``holds`` says."""

    account: AccountView
    steps: tuple[Step, ...]
    flows: tuple[Flow, ...]
    holds: bool


def trace(engine: Engine, account: AccountView) -> Trace:
    """Follow the money of an account through every entry that touched it."""
    views = {view.id: view for view in engine.books.accounts()}
    scale = len(account.posted.partition(".")[2])
    steps: list[Step] = []
    sums: dict[tuple[str, str], list[int]] = {}
    balance = 0
    for entry, service in _entries(engine, account.id):
        legs = [(leg.account, _atoms(leg.amount)) for leg in entry.legs]
        own = sum(atoms for name, atoms in legs if name == account.id)
        balance += own
        amount, after = decimal_text(own, scale), decimal_text(balance, scale)
        steps.append(Step(entry.at, entry.id, entry.cause, entry.kind, service, amount, after))
        for source, target, atoms in flows(legs):
            if account.id in (source, target):
                other = target if source == account.id else source
                found = sums.setdefault((other, service or entry.kind), [0, 0, 0])
                found[source == account.id] += atoms
                found[2] += 1
    ordered = sorted(sums.items(), key=lambda item: (-max(item[1][:2]), item[0]))
    return Trace(
        account,
        tuple(steps),
        tuple(_flow(views[name], service, scale, found) for (name, service), found in ordered),
        sum(into - out for into, out, _ in sums.values()) == balance == _atoms(account.posted),
    )


def _flow(view: AccountView, service: str, scale: int, sums: list[int]) -> Flow:
    into, out, entries = sums
    return Flow(view.id, view.role, view.owner, service, decimal_text(into, scale), decimal_text(out, scale), entries)


def find(engine: Engine, name: str) -> AccountView:
    """The account of an id, or the only account of a party.

    Raises:
        Refused: NOT_FOUND, or BAD_INPUT when the party has several.
    """
    known = engine.books.named(name)
    exact = [view for view in known if not view.name] or known  # a payer's account before its buckets
    if not exact:
        raise refuse(
            RefusalCode.NOT_FOUND,
            f"there is no account or party {name[:60]!r}.",
            field="account",
            fix="List them with apportion balance.",
        )
    if len(exact) > 1:
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"{name[:60]!r} has several accounts.",
            field="account",
            fix="Name one of " + ", ".join(f"{view.id} ({view.role}, {view.currency})" for view in exact[:8]) + ".",
        )
    return exact[0]


def _entries(engine: Engine, account: str) -> Iterator[tuple[Entry, str]]:
    """Every entry that touched the account, with the service of the charge that made it."""
    mark = b'"account":"' + account.encode() + b'"'
    decode = msgspec.json.Decoder(Entry | Charge).decode
    last = engine.store.head(engine.tenant, 0)[0]
    for _, body, _ in engine.store.journal(engine.tenant, 0, 0, last):
        if mark not in body:
            continue
        service = ""
        for line in body.split(b"\n"):
            if line.startswith(b'{"type":"charge"'):
                service = getattr(decode(line), "service", "")
            elif line.startswith(b'{"type":"entry"') and mark in line:
                entry = decode(line)
                assert isinstance(entry, Entry)
                yield entry, service


def flows(legs: Sequence[tuple[str, int]]) -> list[tuple[str, str, int]]:
    """From whom to whom the money of one entry went, in whole atoms: each giver's atoms are spread over the takers
    in proportion to what these still wait for, so that every giver gives, and every taker gets, exactly its leg."""
    givers = [(name, -atoms) for name, atoms in legs if atoms < 0]
    takers = [(name, atoms) for name, atoms in legs if atoms > 0]
    waiting = [atoms for _, atoms in takers]
    order = list(range(len(takers)))
    found = []
    for giver, atoms in givers:
        open_ = sum(waiting)
        given = spread(atoms, [atoms * rest for rest in waiting], open_, order)
        found += [(giver, taker, part) for (taker, _), part in zip(takers, given, strict=True) if part]
        waiting = [rest - part for rest, part in zip(waiting, given, strict=True)]
    return found


def _atoms(text: str) -> int:
    return int(text.replace(".", ""))
