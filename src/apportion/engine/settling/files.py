"""The file of a batch of payouts: pain.001 for the bank, or a table."""

from __future__ import annotations

import csv
import io

from apportion.engine.engine import Engine
from apportion.engine.settling.decision import FILE
from apportion.engine.settling.netted import grain_of
from apportion.engine.settling.payees import PLATFORM, payee_of
from apportion.engine.settling.standing import find_settlement
from apportion.engine.settling.views import FileQuery, PaymentFile, Showing
from apportion.engine.verbs import Call
from apportion.errors import Misconfigured, RefusalCode, refuse
from apportion.model.payee import BankFile, BankTransfer, Payee
from apportion.model.settlement import PayoutLine, SettlementLine
from apportion.money import Asset, Money
from apportion.money.asset import minor_digits
from apportion.money.exact import decimal_text
from apportion.stages.statement.downward import minor_of
from apportion.stages.statement.render import tame

_COLUMNS = ("payout", "settlement", "provider", "name", "iban", "bic", "amount", "currency", "state", "requested")


def payment_file(engine: Engine, call: Call) -> PaymentFile:
    """The file of a batch; the same bytes whenever it is asked for, as long as nobody moves to another bank.

    Raises:
        Refused: NOT_FOUND when nothing was ordered by file; BAD_INPUT when nobody knows where the money is to go.
    """
    query: FileQuery = call.query
    settlement, showing = find_settlement(engine, call.id), Showing(engine, call)
    lines = [line for parts in showing.payouts(settlement).values() for line in parts if line.by == FILE]
    batch = query.batch or max((line.batch for line in lines), default=0)
    mine = [line for line in lines if line.batch == batch]
    if not mine:
        raise refuse(
            RefusalCode.NOT_FOUND, f"nothing of {settlement.number} was ordered by file.", field="batch",
            fix=f"Order it first: POST /v1/settlements/{settlement.id}/payout.",
        )  # fmt: skip
    asset = engine.books.asset(settlement.asset.partition("/")[0])
    name = f"{settlement.number}-{batch}"
    if query.format == "csv":
        return PaymentFile(
            f"{name}.csv", "text/csv", batch, len(mine), _table(engine, showing, settlement, mine, asset)
        )
    raw = _pain001(engine, showing, settlement, mine, asset)
    return PaymentFile(f"{name}.xml", "application/xml", batch, len(mine), raw.decode())


def _pain001(
    engine: Engine, showing: Showing, settlement: SettlementLine, lines: list[PayoutLine], asset: Asset
) -> bytes:
    if minor_digits(asset.code) != 2:
        raise refuse(
            RefusalCode.BAD_INPUT, f"pain.001 is written for currencies that have cents, not for {asset.code}.",
            field="format", fix="Take csv.",
        )  # fmt: skip
    own = payee_of(engine, PLATFORM)
    if own is None or not own.iban:
        raise refuse(
            RefusalCode.BAD_INPUT, "nobody knows from which account the platform pays.", field="payees",
            fix="Say so first: PUT /v1/payees/platform with name and iban.",
        )  # fmt: skip
    transfers = []
    for line in lines:
        provider = showing.name(line.creditor)
        payee = payee_of(engine, provider)
        if payee is None or not payee.iban:
            raise refuse(
                RefusalCode.BAD_INPUT, f"nobody knows where {provider} has its money.", field="payees",
                fix=f"Say so first: PUT /v1/payees/{provider} with name and iban.",
            )  # fmt: skip
        units = Money.parse(line.amount, asset).atoms // grain_of(asset)
        text = f"{settlement.number} {provider}"
        # an EndToEndId has at most 35 characters, an id of ours 36
        transfers.append(BankTransfer("P" + line.id[4:], payee.name, payee.iban, payee.bic, units, text))
    if engine.bank is None:
        raise Misconfigured("Nothing here writes files for a bank.")
    first = lines[0]
    id = f"{settlement.number}-{first.batch}-{settlement.id[4:12]}"
    return engine.bank.pain001(BankFile(id, first.requested, own.name, own.iban, own.bic, asset.code, tuple(transfers)))


def _table(engine: Engine, showing: Showing, settlement: SettlementLine, lines: list[PayoutLine], asset: Asset) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for line in lines:
        provider = showing.name(line.creditor)
        payee = payee_of(engine, provider) or Payee()
        units = Money.parse(line.amount, asset).atoms // grain_of(asset)
        writer.writerow(
            [line.id, settlement.number, provider, tame(payee.name), payee.iban, payee.bic,
             decimal_text(units, minor_of(asset)), asset.code, line.state, line.requested]
        )  # fmt: skip
    return text.getvalue()


__all__ = ["payment_file"]
