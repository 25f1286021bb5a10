"""Currencies: ``exchange`` and ``rates …``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cyclopts import App

from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, BadUsage, Place, TableAnswer
from apportion.faces.cli.reach import Reach, changing, reading
from apportion.faces.tables import Table

if TYPE_CHECKING:
    from apportion.engine.exchanging.door import ExchangeView
    from apportion.faces.exchange import Exchange


def _exchange(books: Reach) -> Exchange:
    from apportion.faces.exchange import Exchange

    return Exchange(books.ask)


def exchange(currency: str = "", /, *, place: Place = PLACE, answer: TableAnswer = TABLE) -> int:
    """What conversions left in each currency, and what it is worth by the rates in force now.

    Such as: apportion exchange EUR

    Exit code 1 when a balance is not the sum of its conversions.

    Args:
        currency: In which currency to compare; that of the first conversion when not given.
    """
    with reading(place) as books:
        found = _exchange(books).positions(currency)
    rows = [
        (one.account, one.currency, one.posted, one.converted, one.rounding, one.worth, _rate(one))
        for one in found.data
    ]
    title = f"worth {found.currency}" if found.currency else "worth"
    columns = ("account", "currency", "posted", "converted", "rounding", title, "rate")
    answer.give(Table(columns, rows, ("total", "", "", "", "", found.worth, "") if rows else ()), found)
    return 0 if all(one.explained for one in found.data) else 1


def _rate(one: ExchangeView) -> str:
    return f"1 {one.base} = {one.rate}" if one.rate else f"via {one.via}" if one.via else ""


def show(*, place: Place = PLACE, answer: TableAnswer = TABLE) -> None:
    """The exchange rates of the catalog in force."""
    with reading(place) as books:
        found = list(_exchange(books).rates())
    rows = [(one.base, one.to, one.rate, one.source, one.at.astimezone(UTC).isoformat()) for one in found]
    answer.give(Table(("from", "to", "rate", "source", "at"), rows), found)


def add(
    base: str,
    to: str,
    rate: str,
    /,
    *,
    source: str,
    at: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Add an exchange rate to the catalog in force: a new version of it.

    Such as: apportion rates add USD EUR 0.92 --source ECB --at 2026-11-02T00:00:00Z

    Args:
        base: One unit of this currency …
        to: … is, in this one, …
        rate: … so much.
        source: Whose rate it is; it stands on every conversion.
        at: From when on, as an RFC 3339 instant; from now on when not given.
    """
    from apportion.model.exchange_rate import ExchangeRate

    try:
        since = datetime.fromisoformat(at) if at else datetime.now(UTC)
    except ValueError:
        raise BadUsage(f"--at {at[:40]!r} is not an instant, such as 2026-11-02T00:00:00Z.") from None
    with changing(place) as books:
        version = _exchange(books).add([ExchangeRate(base, to, rate, source, since)])
    answer.give({"catalog": version}, f"1 {base} is {rate} {to} from {since.isoformat()} on: {version}.")


RATES: dict[str, Callable[..., Any]] = {"show": show, "add": add}


def commands(group: Any, default: Any) -> App:
    """``apportion rates …`` for the program."""
    rates = App(name="rates", help="Exchange rates between currencies.", group=group, default_parameter=default)
    for name, command in RATES.items():
        rates.command(command, name=name, help_format="markdown")
    return rates
