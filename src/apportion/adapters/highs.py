"""HiGHS as a solver of large choices, where highspy is installed (the extra ``solver``).

It computes in doubles, so what it answers is a hint: whoever asks checks it in integers. One thread, no tolerated gap
and a limit of nodes, so that the same program has the same answer; the limit of time is a safety net only.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from apportion.stages.broker.choosing.program import Product, Program, Row, Solver

_NODES = 20_000
_SECONDS = 10
#: a double holds so many bits exactly; the largest number of a row becomes 2**_LARGEST
_BITS, _LARGEST = 52, 10
_OPTIONS: dict[str, Any] = {
    "output_flag": False,
    "log_to_console": False,
    "threads": 1,
    "parallel": "off",
    "random_seed": 0,
    "mip_rel_gap": 0,
    "mip_abs_gap": 0,
    "mip_feasibility_tolerance": 1e-9,
    "primal_feasibility_tolerance": 1e-9,
    "mip_max_nodes": _NODES,
    "time_limit": _SECONDS,
}


def solver() -> Solver | None:
    """The solver, None when highspy is not installed."""
    return solve if find_spec("highspy") and find_spec("numpy") else None


def solve(program: Program) -> tuple[int, ...] | None:
    """Every column as 0 or 1, None when no solution was found within the limits of nodes and time."""
    import highspy
    import numpy as np

    columns, bounded = len(program.costs), [*map(_scaled, program.rows), *map(_logarithms, program.products)]
    starts = np.cumsum([0, *(len(indices) for indices, *_ in bounded)])
    model = highspy.Highs()
    for name, value in _OPTIONS.items():
        model.setOptionValue(name, value)
    model.passModel(
        columns,
        len(bounded),
        int(starts[-1]),
        int(highspy.MatrixFormat.kRowwise),
        int(highspy.ObjSense.kMinimize),
        0,
        _doubles(program.costs, _shift(program.costs)),
        np.zeros(columns),
        np.ones(columns),
        np.array([low for *_, low, _ in bounded], np.float64),
        np.array([high for *_, high in bounded], np.float64),
        starts[:-1].astype(np.int32),
        np.concatenate([np.array(indices, np.int32) for indices, *_ in bounded]),
        np.concatenate([coefficients for _, coefficients, *_ in bounded]),
        np.ones(columns, np.int32),
    )
    model.run()
    if model.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return None
    return tuple(np.rint(model.getSolution().col_value).astype(np.int64).tolist())


def _shift(numbers: Sequence[int]) -> int:
    """How far to shift integers down so that the largest becomes a double without loss."""
    return max((number.bit_length() for number in numbers), default=0) - _BITS


def _doubles(numbers: Sequence[int], shift: int) -> Any:
    """Integers as doubles of a size that a solver likes, all by the same power of two."""
    import numpy as np

    moved = [number >> shift if shift > 0 else number << -shift for number in numbers]
    return np.ldexp(np.array(moved, np.float64), _LARGEST - _BITS)


def _scaled(row: Row) -> tuple[Sequence[int], Any, Any, Any]:
    """A row as doubles: columns, coefficients, bounds."""
    import numpy as np

    shift = _shift(row.coefficients)
    low = -np.inf if row.low is None else _doubles([row.low], shift)[0]
    high = np.inf if row.high is None else _doubles([row.high], shift)[0]
    return row.columns, _doubles(row.coefficients, shift), low, high


def _logarithms(product: Product) -> tuple[Sequence[int], Any, Any, Any]:
    """A product that must reach something as a sum of logarithms, scaled so that the largest is 1,000."""
    import numpy as np

    logs = np.log1p(np.array([_missing(*fraction) for fraction in product.fractions], np.float64))
    least = np.log1p(np.array(_missing(*product.least), np.float64))
    scale = 1000 / max(np.abs(logs).max(initial=0), np.abs(least), 1e-300)
    # equality is allowed: the exact comparison is made by whoever reads the answer
    return product.columns, logs * scale, least * scale - 1e-9, np.inf


def _missing(num: int, den: int) -> Any:
    """num/den − 1 as a double, however long the integers are."""
    import numpy as np

    shift = max(0, den.bit_length() - 1000, num.bit_length() - 1000)
    return np.true_divide(np.float64((num - den) >> shift), np.float64(max(1, den >> shift)))
