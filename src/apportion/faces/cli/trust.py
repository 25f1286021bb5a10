"""Trust-based credit: ``trust fit`` and ``trust show``."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, Parameter

from apportion.faces.cli.options import ANSWER, PLACE, Answer, Place
from apportion.faces.tables import Table, write_table

if TYPE_CHECKING:
    from apportion.model.credit import Example, History, Month, TrustModel, TrustPolicy

COLUMNS = ("client", "limit", "billed", "paid", "months_late", "outcome")
_OUTCOMES = {"paid": True, "missed": False}
_MONTHS_LATE_MAX = 1200


def fit(history: str, /, *, out: str = "model.json", answer: Answer = ANSWER) -> None:
    """Fit the linear prediction of payment on past clients; needs numpy.

    Such as: apportion trust fit examples/credit/history.csv.gz --out model.json

    The first three quarters of the clients teach, the last quarter measures. Every coefficient keeps to its side of
    zero: a late payment can not help.

    Args:
        history: CSV, also as .gz, with the columns client, limit, billed, paid, months_late and outcome (paid or
            missed); a row a month, newest first; an empty client, limit or outcome is the one above.
        out: The file that the model is written to.
    """
    import msgspec

    from apportion.stages.credit import fit as fit_model

    file = Path(history)
    model = fit_model(list(examples(file)), file.name)
    Path(out).write_bytes(msgspec.json.format(msgspec.json.encode(model), indent=2) + b"\n")
    if answer.json:
        answer.give(model, "")
        return
    _tell(model)
    print(f"\nWrote {out}. See what it gives somebody: apportion trust show PARTY --model {out}")


def show(
    party: str = "",
    /,
    *,
    model: str = "",
    currency: str = "",
    cap: str = "1000",
    starting: str = "0",
    share: str = "0.25",
    minimum_score: str = "0.7",
    due_days: Annotated[int, Parameter(validator=lambda _, days: _days(days))] = 14,
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """The limit that a payer's history in the books earns, and why; without a party, what the model looks at.

    Nothing is changed.

    Args:
        party: A payer or an account id.
        model: A model file that trust fit wrote; the one that comes with the program when not given.
        currency: Which account, when the payer has several.
        cap: The most that the policy allows, in the account's currency.
        starting: The limit without a history.
        share: The part of what was used and paid on time that may become a credit line.
        minimum_score: The score from which there is credit.
        due_days: A statement is due so many days after its issue.
    """
    from apportion.engine import standing
    from apportion.model.credit import TrustPolicy

    chosen = _read_model(Path(model)) if model else standing.default_model()
    if not party:
        if answer.json:
            answer.give(chosen, "")
        else:
            _tell(chosen)
        return
    with place.read() as engine:
        history = standing.history_of(engine, party, currency=currency, due_days=due_days)
    code = history.asset.partition("/")[0]
    policy = TrustPolicy(code, cap, starting, share, minimum_score)
    _decision(policy, chosen, history, answer)


def commands(group: str, default_parameter: Parameter | None) -> App:
    """``apportion trust …`` for the program."""
    app = App(
        name="trust",
        help="Trust-based credit: what a payer's history earns.",
        group=group,
        default_parameter=default_parameter,
    )
    for command in (fit, show):
        app.command(command, help_format="markdown")
    return app


def _days(days: int) -> None:
    if not 0 <= days <= 3660:
        raise ValueError("due days must be 0 to 3660.")


def _decision(policy: TrustPolicy, model: TrustModel, history: History, answer: Answer) -> None:
    from apportion.stages.credit import decide, explain

    decision = decide(policy, model, history)
    words = explain(decision)
    answer.give({"decision": decision, "words": words}, "\n".join(words))


def _tell(model: TrustModel) -> None:
    from apportion.stages.credit import FACTORS

    print(f"{model.version}, fitted on {model.trained_on or 'clients not named'}")
    unseen, mixed = model.auc or "unknown", model.auc_folds or "unknown"
    print(f"AUC {unseen} on the last quarter of the clients, held out; {mixed} in five folds mixed over all.")
    print(f"The average client scores {model.intercept}. Each factor is a number from 0 to 1:\n")
    about = {factor.name: factor.about for factor in FACTORS}
    rows = [
        (one.factor, one.coefficient, one.mean, _counts(one.coefficient), about.get(one.factor, ""))
        for one in model.weights
    ]
    write_table(Table(("factor", "coefficient", "mean", "", "what it is"), rows))


def _counts(coefficient: str) -> str:
    if not coefficient.strip("-0."):
        return "counts nothing"
    return "lowers the score" if coefficient.startswith("-") else "raises the score"


def _read_model(file: Path) -> TrustModel:
    import msgspec

    from apportion.model.credit import TrustModel

    try:
        return msgspec.json.decode(file.read_bytes(), type=TrustModel)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        _refuse(f"{file.name} is no model: {error}.", "model", "Make one: apportion trust fit HISTORY.")


# ── histories ──


def examples(file: Path) -> Iterator[Example]:
    """The clients of a history file, in its order.

    Raises:
        Refused: BAD_INPUT or BAD_AMOUNT, with the place.
    """
    from apportion.model.credit import Example, History

    months: list[Month] = []
    client, kept = "", True
    for line, cells in _rows(file):
        if cells["client"] not in ("", client):
            if months:
                yield Example(client, History(tuple(months), months[0].months_late), kept)
            client, months = cells["client"], []
            if cells["outcome"] not in _OUTCOMES:
                _refuse("must be paid or missed.", "outcome", where=line)
            kept = _OUTCOMES[cells["outcome"]]
        if not client:
            _refuse("the first row names no client.", "client", where=line)
        months.append(_month(cells, months[-1].limit if months else None, line))
    if months:
        yield Example(client, History(tuple(months), months[0].months_late), kept)


def _rows(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    opener = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rt", encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if lacking:
                _refuse(f"the file lacks {', '.join(lacking)}.", "columns", f"Its columns are {', '.join(COLUMNS)}.")
            for number, row in enumerate(reader, 2):
                yield f"{file.name} line {number}", {name: (row[name] or "").strip() for name in COLUMNS}
    except (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        _refuse(f"{file.name} is no CSV file: {error}.", "history")


def _month(cells: dict[str, str], above: int | None, line: str) -> Month:
    from apportion.errors import Refused
    from apportion.model.credit import Month
    from apportion.money import Asset, Money

    counted = Asset("HISTORY", 9)  # only ratios count: any unit does
    try:
        billed, paid = (Money.parse(cells[name], counted, field=name).atoms for name in ("billed", "paid"))
        if above is None or cells["limit"]:
            above = Money.parse(cells["limit"], counted, field="limit").atoms
    except Refused as error:
        import msgspec

        raise Refused(msgspec.structs.replace(error.refusal, where=line)) from None
    late = cells["months_late"]
    if not (late.isascii() and late.isdecimal() and len(late) <= 4 and int(late) <= _MONTHS_LATE_MAX):
        _refuse(f"must be a whole number from 0 to {_MONTHS_LATE_MAX}.", "months_late", where=line)
    return Month(billed, paid, above, months_late=int(late))


def _refuse(message: str, field: str, fix: str = "", *, where: str = "") -> NoReturn:
    from apportion.errors import Refusal, RefusalCode, Refused

    raise Refused(Refusal(RefusalCode.BAD_INPUT, message, field, fix, where))
