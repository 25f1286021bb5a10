"""A request read strictly: what is wanted, by whom, from when on, within which limits; and whether it is answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from apportion.engine.credit.standing import stands
from apportion.engine.engine import Engine
from apportion.engine.rating import quantity
from apportion.engine.sessions.opening import known_units
from apportion.engine.terms import ServiceTerms, Terms
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.account import Account
from apportion.model.findings import Findings
from apportion.model.funding import AllowanceLine, FundingLine
from apportion.model.ids import number_id
from apportion.model.market import Relaxable
from apportion.model.profile import Profile
from apportion.model.profile_check import check_profile
from apportion.model.references import near
from apportion.model.request import Request
from apportion.model.tariff import Use
from apportion.money import Exact, Money
from apportion.ports import Course
from apportion.stages.credit.funding import allowance_order, drawable, moved_out

ZERO, ONE = Exact(0), Exact(1)


class Kept(msgspec.Struct, frozen=True):
    """Limits as numbers: ``budget`` and ``margin`` in atoms, None for none; ``guarded`` fees never lie below cost.

    Of a session that runs, both are what is left after what was paid, and what the platform has ``kept`` of it.
    """

    budget: int | None = None
    margin: int | None = None
    latency: int | None = None
    availability: Exact | None = None
    throughput: Exact | None = None
    per_provider: int | None = None
    agreements_only: bool = False
    guarded: bool = False
    kept: int = 0

    def tighter(self, atoms: int) -> Kept:
        """The same with so much less to spend."""
        return msgspec.structs.replace(self, budget=max(0, (self.budget or 0) - atoms))

    def without(self, names: tuple[str, ...]) -> Kept:
        """The same with some given up."""
        gone: dict[str, object] = {name: False if name == "agreements_only" else None for name in names}
        if "margin" in gone and self.guarded:
            gone["margin"] = -self.kept  # the margin guard stays
        return msgspec.structs.replace(self, **gone) if gone else self


class Wish(msgspec.Struct, frozen=True):
    """What is wanted: ``use`` prices the parts, ``rest`` what allowances leave of it (None: they cover everything).

    ``accounts`` are those of the payers, None where one has none yet. ``covered`` is what allowances cover by measure,
    ``drawn`` the atoms of their price that move out for it, which the fee does not ask for again.
    """

    request: Request
    terms: Terms
    service: ServiceTerms
    start: datetime
    use: Use
    rest: Use | None
    kept: Kept
    profile: Profile
    accounts: tuple[Account | None, ...]
    relax: tuple[Relaxable, ...]
    covered: Mapping[str, Exact] = {}
    drawn: int = 0

    @property
    def payers(self) -> tuple[str, ...]:
        """Names of those who ask and pay."""
        return tuple(payer.payer for payer in self.request.payers)


def read_request(engine: Engine, terms: Terms, request: Request, now: str) -> Wish:
    """The request, checked against the catalog in force.

    Raises:
        Refused: what is wrong with it, with the field and the fix; DECLINED when a payer could pay on credit alone and
            its history does not carry any.
    """
    service = terms.service(request.service)
    _check_service(service)
    known_units(service, request.quantities, "quantities.")
    if not any(quantity(text, measure) for measure, text in request.quantities.items()):
        raise refuse(
            RefusalCode.BAD_QUANTITY, "says nothing of how much is wanted.", field="quantities",
            fix="Prices are compared by them: name what is expected to be used.",
        )  # fmt: skip
    for name in request.attributes:
        if name not in service.attributes:
            fix = near(name, service.attributes) or "It knows " + ", ".join(sorted(service.attributes)) + "."
            raise refuse(
                RefusalCode.UNKNOWN_FIELD, f"service {request.service!r} knows no attribute {name[:60]!r}.",
                field=f"attributes.{name[:60]}", fix=fix,
            )  # fmt: skip
    names = [payer.payer for payer in request.payers]
    if "" in names or len(set(names)) < len(names):
        raise refuse(RefusalCode.BAD_INPUT, "a payer stands twice or has no name.", field="payers")
    start = _start(request.start, now)
    accounts = tuple(_account(engine, service, name) for name in names)
    _trusted(engine, accounts)
    full = dict.fromkeys(service.measures, ZERO)
    use = Use(start, start, {**full, **{m: quantity(t, m) for m, t in request.quantities.items()}}, request.attributes)
    relax = service.service.market.relax if request.relax is None else request.relax
    covered, drawn = _covered(engine, service, use, accounts, now)
    return Wish(
        request, terms, service, start, use, rest_of(use, covered), _kept(service, request), _profile(terms, request),
        accounts, relax, covered, drawn,
    )  # fmt: skip


def _check_service(service: ServiceTerms) -> None:
    if service.service.apportion != "wholesale":
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"providers of {service.service.id!r} share the fee by {service.service.apportion}, so none costs less.",
            field="service",
            fix='Plans are made for services whose providers earn prices of their own (apportion = "wholesale").',
        )


def _start(text: str, now: str) -> datetime:
    present = datetime.fromisoformat(now)
    if not text:
        return present
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        raise refuse(RefusalCode.BAD_TIME, "is not an instant.", field="start", fix="Such as 2030-01-31T18:00:00Z.")
    return start.astimezone(present.tzinfo)


def _account(engine: Engine, service: ServiceTerms, name: str) -> Account | None:
    """A payer's account in the currency of the service, if it has one."""
    store, tenant = engine.store, engine.tenant
    party = store.handles(tenant, [name]).get(name)
    if party is None:
        return None
    numbers = store.account_keys(tenant, [f"payer:{party}:{service.asset_text}"])
    return next(iter(store.accounts(tenant, list(numbers.values())).values()), None)


def _trusted(engine: Engine, accounts: tuple[Account | None, ...]) -> None:
    """Poor trust ends a request on credit before anybody is asked (claim C3)."""
    for account in accounts:
        if account is None or account.posted - account.held > 0:
            continue
        found = stands(engine, account.public)
        lost = found.loss is not None and any(one.atoms > one.recovered for one in found.loss.losses)
        why = "" if found.decision is None else found.decision.declined
        if why or lost:
            raise refuse(
                RefusalCode.DECLINED, why or "what was written off is not paid.", field="payers",
                fix="Add value to the account; the request can then be paid from it.",
            )  # fmt: skip


def _covered(
    engine: Engine, service: ServiceTerms, use: Use, accounts: tuple[Account | None, ...], now: str
) -> tuple[dict[str, Exact], int]:
    """What allowances of the one who pays alone would cover, by measure, and the atoms that they give for it."""
    found: dict[str, Exact] = {}
    if len(accounts) != 1 or accounts[0] is None:
        return found, 0
    store, tenant, drawn = engine.store, engine.tenant, 0
    id = number_id("fund", accounts[0].id)
    stored = store.courses(tenant, [id]).get(id)
    if stored is None:
        return found, 0
    funding = msgspec.json.decode(stored.line, type=FundingLine)
    lines = [msgspec.json.decode(one.line, type=AllowanceLine) for one in _courses(engine, funding)]
    for line in sorted(lines, key=allowance_order):
        if line.state != "open" or not drawable(line, service.service.id, now) or line.measure not in use.quantities:
            continue
        taken = found.get(line.measure, ZERO)
        units = min(Exact.parse(line.left), use.quantities[line.measure] - taken)
        if units > ZERO:
            found[line.measure] = taken + units
            gone = Exact.parse(line.units) - Exact.parse(line.left) - Exact.parse(line.reserved)
            drawn += moved_out(line, gone + units, service.asset) - moved_out(line, gone, service.asset)
    return found, drawn


def _courses(engine: Engine, funding: FundingLine) -> Iterable[Course]:
    return engine.store.courses(engine.tenant, list(funding.allowances)).values()


def rest_of(use: Use, covered: Mapping[str, Exact]) -> Use | None:
    """What is left to be priced; nothing, when everything that was measured is covered."""
    if not covered:
        return use
    rest = {measure: quantity - covered.get(measure, ZERO) for measure, quantity in use.quantities.items()}
    return Use(use.start, use.end, rest, use.attributes) if any(rest.values()) else None


def _kept(service: ServiceTerms, request: Request) -> Kept:
    limits, asset = request.limits, service.asset

    def atoms(text: str, field: str) -> int | None:
        if not text:
            return None
        money = Money.parse(text, asset, field=field).atoms
        if money < 0:
            raise refuse(RefusalCode.BAD_AMOUNT, "is below zero.", field=field, fix="Zero or more.")
        return money

    availability = Exact.parse(limits.availability, field="limits.availability") if limits.availability else None
    if availability is not None and not ZERO < availability <= ONE:
        raise refuse(
            RefusalCode.BAD_QUANTITY, "is no fraction of time.", field="limits.availability", fix="Such as 0.999."
        )
    throughput = Exact.parse(limits.throughput, field="limits.throughput") if limits.throughput else None
    if throughput is not None and throughput < ZERO:
        raise refuse(RefusalCode.BAD_QUANTITY, "is below zero.", field="limits.throughput")
    guarded = service.service.guard
    margin = atoms(service.service.market.margin, "margin")
    return Kept(
        atoms(limits.budget, "limits.budget"), 0 if guarded and margin is None else margin, limits.latency or None,
        availability, throughput, limits.per_provider or None, limits.agreements_only, guarded,
    )  # fmt: skip


def _profile(terms: Terms, request: Request) -> Profile:
    """The request's own profile, a stored one, or that of the first payer, if it is for this service."""
    profiles = terms.catalog.profiles
    named = request.profile
    if isinstance(named, Profile):
        found = Findings(terms.catalog, ())
        check_profile(found, "profile", named)
        if found.refusals:
            wrong = found.refusals[0]
            raise Refused(msgspec.structs.replace(wrong, code=RefusalCode.BAD_INPUT, field=wrong.where, where=""))
        return named
    if not named:
        payer = terms.catalog.payers.get(request.payers[0].payer)
        stored = profiles.get(payer.profile) if payer is not None else None
        return stored if stored is not None and _serves(stored, request.service) else Profile()
    if named not in profiles:
        raise refuse(
            RefusalCode.BAD_INPUT, f"there is no profile {named[:60]!r}.", field="profile",
            fix=near(named, profiles) or "Name a stored one, or give one whole.",
        )  # fmt: skip
    if not _serves(profiles[named], request.service):
        raise refuse(RefusalCode.BAD_INPUT, f"the profile {named!r} is not for this service.", field="profile")
    return profiles[named]


def _serves(profile: Profile, service: str) -> bool:
    return not profile.services or service in profile.services
