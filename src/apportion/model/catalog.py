"""The catalog: one file that holds everything an operator sells, with whom, and at what price."""

from __future__ import annotations

import msgspec

from apportion.model.agreement import Agreement, Service
from apportion.model.credit import Dunning, TrustModel, TrustPolicy
from apportion.model.exchange_rate import ExchangeRate
from apportion.model.market import Interconnect, Network, Offer, Placement
from apportion.model.party import Payer, Provider, UnknownPayers
from apportion.model.profile import Profile
from apportion.model.schedule import Schedule
from apportion.model.tariff import Tariff


class Catalog(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An immutable version of all terms; tables are keyed by id.

    ``currencies`` fixes the scale of a currency in this store (``{"USD": 9}``) where the default does not fit.
    ``zone`` is the IANA zone of usage times that have none. ``invented`` says in words what in this file is made
    up; it is shown wherever the catalog is. ``trust`` says, per currency, what payers may earn who opt in, by which
    prediction (``trust_model``, the program's own when not given), ``dunning`` what happens when payers do not pay;
    ``schedule`` what nodes close, bill and settle by themselves.
    ``rates`` convert between currencies, where a part or a payer's account has another than the service.

    What requests are answered from: standing ``offers`` beside the ``wholesale`` tariffs of the parts, ``networks`` and
    their ``interconnects``, ``profiles`` of what users prefer, ``placements`` that providers pay for.
    """

    name: str = ""
    zone: str = "UTC"
    currencies: dict[str, int] = {}
    providers: dict[str, Provider] = {}
    services: dict[str, Service] = {}
    tariffs: dict[str, Tariff] = {}
    agreements: dict[str, Agreement] = {}
    payers: dict[str, Payer] = {}
    unknown_payers: UnknownPayers | None = None
    rates: tuple[ExchangeRate, ...] = ()
    trust: tuple[TrustPolicy, ...] = ()
    trust_model: TrustModel | None = None
    dunning: Dunning | None = None
    schedule: Schedule | None = None
    networks: dict[str, Network] = {}
    offers: dict[str, Offer] = {}
    interconnects: tuple[Interconnect, ...] = ()
    profiles: dict[str, Profile] = {}
    placements: dict[str, Placement] = {}
    invented: str = ""
    attribution: str = ""
