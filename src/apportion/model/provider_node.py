"""The node of a provider: what it offers, how it bargains, and who may use it."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from apportion.errors import Refusal, RefusalCode, Refused
from apportion.model.market import Quality
from apportion.model.negotiation import Tactic
from apportion.model.tariff import Tariff
from apportion.model.tariff_check import check
from apportion.money import Exact

_HASH = re.compile("[0-9a-f]{64}")
Add = Callable[[str, str, str], None]


class Bargaining(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a price is found: it opens ``markup`` percent above the tariff and never goes below ``margin`` percent.

    In between it gives way by its ``tactic`` over ``rounds`` counter-offers, at a ``pace`` of its own if there is one.
    Asked for its best and final offer it keeps ``keep`` percent of what lies between.
    """

    tactic: Tactic = "fixed"
    margin: str = "0"
    markup: str = "0"
    rounds: int = 8
    pace: str = ""
    keep: int = 0


class NodeOffer(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One ``part`` of a ``service`` that is delivered: ``tariff`` (the name of one in the file) is what it costs.

    ``capacity`` is what it can deliver at a time by measure, no bound where none is named. The other fields are those
    of an offer. ``bargaining`` is the node's own, when not given.
    """

    service: str
    part: str
    tariff: str
    network: str = ""
    quality: Quality = Quality()
    capacity: dict[str, str] = {}
    least: dict[str, str] = {}
    most: dict[str, str] = {}
    when: dict[str, tuple[str, ...]] = {}
    reaches: tuple[str, ...] = ()
    bargaining: Bargaining | None = None


class NodeUser(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who may send requests to its home provider: known by the SHA-256 of a ``token``, asks for these ``payers``."""

    name: str
    token: str
    payers: tuple[str, ...]


class ProviderNode(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A provider's node as its file describes it.

    ``key`` is the file of its signing key, made when there is none. A bid stands for ``validity`` seconds, for
    ``longest`` at most when a counter-offer asks for more; what was agreed keeps its capacity for ``hold`` seconds
    unless it is ended before. ``setup`` is asked once for a plan, however many parts. With ``asker``, a public key,
    questions must be signed by it.
    """

    provider: str
    offers: tuple[NodeOffer, ...]
    tariffs: dict[str, Tariff]
    key: str = "provider.key"
    validity: int = 30
    longest: int = 300
    hold: int = 86_400
    asker: str = ""
    setup: str = "0"
    bargaining: Bargaining = Bargaining()
    users: tuple[NodeUser, ...] = ()


def check_node(node: ProviderNode) -> list[Refusal]:
    """Everything in a node's file that contradicts itself, each with the dotted path of its field as its place."""
    found: list[Refusal] = []

    def add(where: str, message: str, fix: str) -> None:
        found.append(Refusal(RefusalCode.CATALOG_INVALID, message, where.rpartition(".")[2], fix, where))

    if not node.offers:
        add("offers", "there are none.", "Add at least one [[offers]].")
    for name, tariff in node.tariffs.items():
        for refusal in check(tariff):
            found.append(msgspec.structs.replace(refusal, where=f"tariffs.{name}.{refusal.field}"))
    for at, offer in enumerate(node.offers):
        where = f"offers[{at}]"
        if offer.tariff not in node.tariffs:
            add(f"{where}.tariff", f"there is no tariff {offer.tariff[:60]!r}.", "Add it under [tariffs.NAME].")
        for field in ("capacity", "least", "most"):
            for measure, text in getattr(offer, field).items():
                _number(add, f"{where}.{field}.{measure}", text)
        _number(add, f"{where}.quality.availability", offer.quality.availability, most=Exact(1))
        if offer.bargaining is not None:
            _bargaining(add, f"{where}.bargaining", offer.bargaining)
    _bargaining(add, "bargaining", node.bargaining)
    _number(add, "setup", node.setup)
    for field in ("validity", "longest", "hold"):
        if not 1 <= getattr(node, field) <= 31_536_000:
            add(field, "must be at least one second, and no more than a year.", "Write whole seconds.")
    if node.asker and not _HASH.fullmatch(node.asker):
        add("asker", "is no public key.", "64 hexadecimal digits, as the platform prints it.")
    for at, user in enumerate(node.users):
        if not _HASH.fullmatch(user.token):
            add(f"users[{at}].token", "is no SHA-256.", "Write the hash of the token, 64 hexadecimal digits.")
        if not user.payers:
            add(f"users[{at}].payers", "names nobody.", "Name the payers that this user may ask for.")
    return found


def _bargaining(add: Add, where: str, rule: Bargaining) -> None:
    margin, markup = _number(add, f"{where}.margin", rule.margin), _number(add, f"{where}.markup", rule.markup)
    if margin is not None and markup is not None and markup < margin:
        add(f"{where}.markup", "is less than the margin.", "It opens above what it never goes below.")
    if not 1 <= rule.rounds <= 100:
        add(f"{where}.rounds", "must be 1 to 100.", "Such as 8.")
    if not 0 <= rule.keep <= 100:
        add(f"{where}.keep", "must be 0 to 100 percent.", "Such as 10.")
    if rule.pace:
        pace = _number(add, f"{where}.pace", rule.pace)
        if pace is not None and not Exact(1, 10) <= pace <= Exact(20):
            add(f"{where}.pace", f"{rule.pace} is not a pace.", "A number from 0.1 to 20, such as 3.")


def _number(add: Add, where: str, text: str, most: Exact | None = None) -> Exact | None:
    try:
        value = Exact.parse(text, exponent=False)
    except Refused as error:
        add(where, error.refusal.message, error.refusal.fix)
        return None
    if value.num < 0 or (most is not None and value > most):
        add(where, f"{text} is out of bounds.", f"Zero to {most.text()}." if most is not None else "Zero or more.")
        return None
    return value
