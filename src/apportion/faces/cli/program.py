"""The program: its commands in the order of a first day, and the one place where an error becomes an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import App, CycloptsError, Group, Parameter

from apportion.faces.cli import (
    accounts,
    books,
    cards,
    catalogs,
    corrections,
    disputes,
    exchange,
    funds,
    inquiry,
    levels,
    market,
    negotiate,
    payments,
    plan,
    pricing,
    proof,
    provider,
    reconcile,
    rerate,
    schedule,
    segment,
    serving,
    sessions,
    settling,
    start,
    statements,
    trust,
    whatif,
)
from apportion.faces.cli.failure import report

_WORDS = """Share out the work, share out the fee.

Charge users one fee, apportion it to the providers that delivered, and keep books that always add up."""

PROGRAM = __name__.partition(".")[0]
#: Commands by what one does with them, in the order of the help.
GROUPS: dict[str, list[Callable[..., Any]]] = {
    "Start": [start.demo, start.init],
    "Price": [pricing.rate, pricing.allocate],
    "Broker": [plan.plan, negotiate.negotiate, segment.segment],
    "Book": [
        books.run,
        books.close,
        books.topup,
        funds.grant,
        funds.allowance,
        cards.pay,
        cards.refund,
        corrections.correct,
        rerate.rerate,
    ],
    "Settle": [
        settling.settle,
        settling.settlements,
        settling.payout,
        settling.payouts,
        settling.payee,
        settling.oblige,
        settling.collected,
        reconcile.reconcile,
    ],
    "Look": [
        accounts.balance,
        statements.statement,
        inquiry.explain,
        inquiry.trace,
        whatif.whatif,
        cards.clearing,
        exchange.exchange,
    ],
    "Prove": [proof.export, proof.verify],
    "Keep": [serving.serve, schedule.schedule, payments.fake_payments, books.forget],
}
KEYS: dict[str, Callable[..., Any]] = {"create": serving.create, "list": serving.show, "revoke": serving.revoke}
CATALOG: list[Callable[..., Any]] = [catalogs.check, catalogs.apply, catalogs.show, catalogs.diff]
TERMS = ("Price", "catalog", "The terms: services, providers, tariffs, agreements.")


def version() -> str:
    """The version of the installed package."""
    from importlib import metadata

    try:
        return f"apportion {metadata.version(PROGRAM)}"
    except metadata.PackageNotFoundError:
        return "apportion, from its sources"


def _build() -> App:
    program = App(
        name=PROGRAM,
        help=_WORDS,
        help_format="plaintext",
        version=version,
        default_parameter=Parameter(negative=(), show_default=False),
        group_commands=Group("More", sort_key=99),
    )
    for place, (title, commands) in enumerate(GROUPS.items()):
        group = Group(title, sort_key=place)
        for command in commands:
            program.command(command, group=group, help_format="markdown")
        if title == TERMS[0]:
            terms = App(name=TERMS[1], help=TERMS[2], group=group, default_parameter=program.default_parameter)
            for command in CATALOG:
                terms.command(command, help_format="markdown")
            program.command(terms)
    keys = App(name="key", help="The keys of those who use a node.", default_parameter=program.default_parameter)
    keys.group = program["serve"].group
    for name, command in KEYS.items():
        keys.command(command, name=name, help_format="markdown")
    program.command(keys)
    program.command(sessions.commands("Book", program.default_parameter))
    program.command(trust.commands("Look", program.default_parameter))
    program.command(disputes.commands("Settle", program.default_parameter))
    program.command(levels.commands("Settle", program.default_parameter))
    for words in (
        *market.commands("Broker", program.default_parameter),
        *cards.commands("Book", program.default_parameter),
    ):
        program.command(words)
    program.command(exchange.commands(TERMS[0], program.default_parameter))
    program.command(provider.commands("Keep", program.default_parameter))
    return program


app = _build()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 refused or a check failed, 2 bad usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        done = app(given, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return done if isinstance(done, int) else 0
    except CycloptsError as error:
        said = f"{' '.join(str(error).split())} See apportion {' '.join(error.command_chain or ())} --help."
        return report(error, as_json=as_json, usage=said.replace("apportion  --help", "apportion --help"))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("apportion: stopped. What was booked is kept; run the same command again to go on.", file=sys.stderr)
        return 130
    except Exception as error:
        return report(error, as_json=as_json)
