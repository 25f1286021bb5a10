"""A segmentation in plain words: why this split, why a path carries what it carries, and what the nearest miss is."""

from __future__ import annotations

from collections.abc import Sequence

from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.segmentation import PathOut, SegmentationAsked
from apportion.money import Asset, Exact, quantize
from apportion.stages.broker.splitting.segment import Asking, Miss, Split
from apportion.stages.broker.splitting.split import SECOND, ends

_AIMS = {
    "lowest-cost": "the cheapest there is", "fastest": "the fastest there is",
    "best-value": "the nearest to the cheapest and to the fastest at once",
}  # fmt: skip


def nothing_fits(out: Sequence[PathOut]) -> Refused:
    """No path may be used at all."""
    said = " ".join(f"{one.id}: {one.why}" for one in out[:5])
    return refuse(
        RefusalCode.NO_PLAN, f"no path may be used. {said}", field="paths", fix="Name others, or ask for less."
    )


def missed(
    miss: Miss, asked: SegmentationAsked, elapsed: int, spent: Exact, money: tuple[int, Asset], amount: int
) -> Refused:
    """Nothing keeps the limits; the refusal says what would be needed."""
    scale, asset = money

    def cost(whole: int) -> str:
        return f"{quantize(spent + Exact(whole, scale), asset).text()} {asset.code}"

    def time(micros: int) -> str:
        return f"{Exact(elapsed + micros, SECOND).text()} s"

    if not miss.proven and (miss.soonest is None or miss.cheapest is None):
        return refuse(
            RefusalCode.NO_PLAN, "no split was found before the search was ended.", field="paths",
            fix="Name fewer paths that must carry so much, or larger segments.",
        )  # fmt: skip
    if miss.soonest is None or miss.cheapest is None:
        few = f" over {asked.assemblage.paths} of them" if asked.assemblage.paths else ""
        return refuse(
            RefusalCode.NO_PLAN,
            f"the paths can not carry {amount} bytes{few}: at most {miss.carries} together, within the bounds of each.",
            field="paths", fix="Name more paths, or lower what each must carry at least.",
        )  # fmt: skip
    late, dear = bool(asked.deadline) and miss.in_time is None, bool(asked.budget) and miss.in_budget is None
    said = []
    if late:
        said.append(f"the earliest possible finish is at {time(miss.soonest)}, not {asked.deadline} s")
    if dear:
        said.append(f"the cheapest possible cost is {cost(miss.cheapest)}, not {asked.budget}")
    if miss.in_time is not None and not dear:
        said.append(f"until {asked.deadline} s it costs at least {cost(miss.in_time)}")
    if miss.in_budget is not None and not late:
        said.append(f"for at most {asked.budget} it takes until {time(miss.in_budget)}")
    field = "deadline" if late else "budget"
    which = "deadline and the budget" if late and dear else field if late or dear else "deadline or the budget"
    if not miss.proven:
        said.append("the search was ended early, there may be better ones")
    return refuse(RefusalCode.NO_PLAN, "; ".join(said) + ".", field=field, fix=f"Raise the {which}.")


def reason(asking: Asking, found: Split, at: int) -> str:
    """Why a path carries what it carries."""
    path, carried = asking.paths[at], found.amounts[at]
    until = found.finish if asking.bounds.deadline is None or asking.aim != "lowest-cost" else asking.bounds.deadline
    more = carried + asking.grain
    if carried >= path.most or more > path.most:
        return "It carries all that it may."
    if carried == asking.amount:
        return "It carries all of it."
    if ends(path, more) > until:
        return "It carries all that it can until then."
    used = [other for other, n in zip(asking.paths, found.amounts, strict=True) if n]
    if path.price >= max(other.price for other in used):
        return "It is the dearest that is used, and carries what is left."
    return "It carries what is left to it."


def summary(asking: Asking, found: Split, asked: SegmentationAsked, fits: int) -> str:
    """Why this split."""
    used = sum(map(bool, found.amounts))
    if not used:
        return "Everything is delivered."
    limits = [f"until {asked.deadline} s"] if asked.deadline else []
    limits += [f"for at most {asked.budget}"] if asked.budget else []
    within = f" ({' and '.join(limits)})" if limits else ""
    proven = "" if found.proven else " The search was ended early: there may be a better one."
    return f"Over {used} of {fits} path{'s' * (fits > 1)}, {_AIMS[asking.aim]}{within}.{proven}"
