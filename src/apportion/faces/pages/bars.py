"""A bar chart as SVG: one row each, longest last or first as given; amounts stand beside their bars."""

from __future__ import annotations

from xml.sax.saxutils import escape

import msgspec

from apportion.money.exact import decimal_text
from apportion.stages.statement import grouped

_ROW = 24
STYLE = """
.br text{font:13px/1.2 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;fill:#1c2430}
.br .a{fill:#5a6473;font-variant-numeric:tabular-nums}.br rect{fill:#1b8272;opacity:.75}.br .mark rect{fill:#7a57b5}
.br .mark .a,.br .mark text{font-weight:600}
@media (prefers-color-scheme:dark){.br text{fill:#e7eaf0}.br .a{fill:#a5afbe}.br rect{fill:#4fc1ad}
.br .mark rect{fill:#b095e6}}
@media print{.br text{fill:#1c2430}.br .a{fill:#5a6473}}
"""


class Bar(msgspec.Struct, frozen=True):
    """One row: ``atoms`` of 10^−scale; ``marked`` ones stand out."""

    label: str
    atoms: int
    marked: bool = False


def bars_svg(bars: list[Bar], unit: tuple[str, int], *, name: str, title: str, width: int = 720) -> str:
    """The chart; ``unit`` is the currency and its scale."""
    currency, scale = unit
    left, right = (170, 96) if width > 500 else (128, 78)
    letters = 24 if width > 500 else 15
    most = max((bar.atoms for bar in bars), default=0) or 1
    tall = len(bars) * _ROW + 6
    said = "; ".join(f"{bar.label} {_amount(bar.atoms, scale)} {currency}" for bar in bars)
    lines = [
        f'<svg class="br" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {tall}" role="img" '
        f'aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{escape(title)}</title>'
        f'<desc id="{name}-d">{escape(said)}.</desc><style>{STYLE}</style>'
    ]
    for row, bar in enumerate(bars):
        y = row * _ROW + 3
        length = max((width - left - right) * bar.atoms // most, 2)
        label = bar.label if len(bar.label) <= letters else bar.label[: letters - 1] + "…"
        group = '<g class="mark">' if bar.marked else "<g>"
        lines.append(
            f'{group}<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{left}" y="{y + 3}" width="{length}" height="{_ROW - 8}" rx="2"/>'
            f'<text class="a" x="{left + length + 8}" y="{y + 15}">{_amount(bar.atoms, scale)} {currency}</text></g>'
        )
    return "\n".join([*lines, "</svg>"])


def _amount(atoms: int, scale: int) -> str:
    places = min(scale, 2)
    grain = 10 ** (scale - places)
    return grouped(decimal_text((2 * atoms + grain) // (2 * grain), places))
