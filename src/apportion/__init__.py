"""Apportion: share out the work, share out the fee.

    import apportion

    catalog = apportion.load_catalog("catalog.toml")
    with apportion.open("rides.db") as engine:
        engine.apply(catalog)
        summary = engine.run(apportion.read_usage("usage.csv", catalog))
        print(summary.charged, "charged")
        for account in engine.books.accounts():
            print(account.role, account.owner, account.posted, account.currency)

Owns: the public door; every name is loaded when it is first asked for. Does not own: anything else.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from apportion.adapters.catalog_file import load_catalog, read_tariff
    from apportion.engine.broker.replacing import Replace
    from apportion.engine.broker.views import PlanView
    from apportion.engine.engine import Engine
    from apportion.engine.explain import Explanation, View
    from apportion.engine.export import export
    from apportion.engine.inquiry import explain
    from apportion.engine.intake import RunSummary
    from apportion.engine.query import AccountView, Books, Record
    from apportion.engine.quote import Quote, Quotes
    from apportion.engine.sessions.views import SessionView
    from apportion.engine.trace import Trace, trace
    from apportion.engine.verify import Outside, Verdict, verify_export, verify_store
    from apportion.errors import (
        ApportionError,
        Conflict,
        Misconfigured,
        NotFound,
        ProviderFailed,
        Refusal,
        RefusalCode,
        Refused,
        StoreUnavailable,
    )
    from apportion.faces.client import Client
    from apportion.faces.reading import read_usage
    from apportion.model.catalog import Catalog
    from apportion.model.charge import Charge
    from apportion.model.command import ChargeUsage, Outcome, RejectUsage
    from apportion.model.profile import Preference, Profile
    from apportion.model.request import Limits, Request
    from apportion.model.session_asked import Accepted, Change, Confirmed, PartAsked, Report, SessionAsked
    from apportion.model.tariff import Tariff
    from apportion.model.usage import PartUse, PayerUse, Usage, UsageClass
    from apportion.money import Asset, Exact, Money, Rounding, allocate, parse_asset, quantize
    from apportion.wiring import open_engine as open

__all__ = [
    "Accepted",
    "AccountView",
    "ApportionError",
    "Asset",
    "Books",
    "Catalog",
    "Change",
    "Charge",
    "ChargeUsage",
    "Client",
    "Confirmed",
    "Conflict",
    "Engine",
    "Exact",
    "Explanation",
    "Limits",
    "Misconfigured",
    "Money",
    "NotFound",
    "Outcome",
    "Outside",
    "PartAsked",
    "PartUse",
    "PayerUse",
    "PlanView",
    "Preference",
    "Profile",
    "ProviderFailed",
    "Quote",
    "Quotes",
    "Record",
    "Refusal",
    "RefusalCode",
    "Refused",
    "RejectUsage",
    "Replace",
    "Report",
    "Request",
    "Rounding",
    "RunSummary",
    "SessionAsked",
    "SessionView",
    "StoreUnavailable",
    "Tariff",
    "Trace",
    "Usage",
    "UsageClass",
    "Verdict",
    "View",
    "allocate",
    "explain",
    "export",
    "load_catalog",
    "open",
    "parse_asset",
    "quantize",
    "read_tariff",
    "read_usage",
    "trace",
    "verify_export",
    "verify_store",
]

_ROOMS = {
    "adapters.catalog_file": "load_catalog read_tariff",
    "engine.broker.replacing": "Replace",
    "engine.broker.views": "PlanView",
    "engine.engine": "Engine",
    "engine.explain": "Explanation View",
    "engine.export": "export",
    "engine.inquiry": "explain",
    "engine.intake": "RunSummary",
    "engine.query": "AccountView Books Record",
    "engine.quote": "Quote Quotes",
    "engine.sessions.views": "SessionView",
    "engine.trace": "Trace trace",
    "engine.verify": "Outside Verdict verify_export verify_store",
    "errors": "ApportionError Conflict Misconfigured NotFound ProviderFailed Refusal RefusalCode Refused"
    " StoreUnavailable",
    "faces.client": "Client",
    "faces.reading": "read_usage",
    "model.catalog": "Catalog",
    "model.charge": "Charge",
    "model.command": "ChargeUsage Outcome RejectUsage",
    "model.profile": "Preference Profile",
    "model.request": "Limits Request",
    "model.session_asked": "Accepted Change Confirmed PartAsked Report SessionAsked",
    "model.tariff": "Tariff",
    "model.usage": "PartUse PayerUse Usage UsageClass",
    "money": "Asset Exact Money Rounding allocate parse_asset quantize",
    "wiring": "open",
}
_PLACES = {name: room for room, names in _ROOMS.items() for name in names.split()}


def __getattr__(name: str) -> typing.Any:
    """Load a public name on first use, so that importing the package costs nothing."""
    room = _PLACES.get(name)
    if room is None:
        raise AttributeError(f"module 'apportion' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"apportion.{room}"), "open_engine" if name == "open" else name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
