"""The flow of a fee as an SVG figure: bands from payers over services to those who earn, as wide as their amounts.

Geometry is in hundredths of a pixel and whole numbers throughout, so that a figure is the same on every machine, and
the widths of all bands between two columns add up exactly to the height of the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from xml.sax.saxutils import escape

import msgspec

from apportion.money import Exact, allocate
from apportion.money.exact import decimal_text
from apportion.stages.statement import grouped

PAYER, SERVICE, PROVIDER, PLATFORM, TAX, SPONSOR = "payer", "service", "provider", "platform", "tax", "sponsor"
_PX = 100
_BAR = 9 * _PX
_TWO_LINES = 32
STYLE = """
.fl text{font:13px/1.2 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;fill:#1c2430}
.fl.sm text{font-size:11px}.fl .n{font-weight:600}.fl .a{fill:#5a6473;font-variant-numeric:tabular-nums}
.fl .halo text{paint-order:stroke;stroke:var(--paper,#fff);stroke-width:4px;stroke-linejoin:round}
.fl .payer{fill:#4c6a92}.fl .service{fill:#2b3648}.fl .provider{fill:#1b8272}.fl .platform{fill:#7a57b5}
.fl .tax{fill:#8b93a1}.fl .sponsor{fill:#c47d1c}.fl .b{opacity:.28}.fl .b:hover{opacity:.5}
@media (prefers-color-scheme:dark){.fl text{fill:#e7eaf0}.fl .a{fill:#a5afbe}
.fl .halo text{stroke:var(--paper,#11151c)}
.fl .payer{fill:#83a4d4}.fl .service{fill:#c3ccda}.fl .provider{fill:#4fc1ad}.fl .platform{fill:#b095e6}
.fl .tax{fill:#8f98a8}.fl .sponsor{fill:#e5a54b}.fl .b{opacity:.34}}
@media print{.fl text{fill:#1c2430}.fl .a{fill:#5a6473}.fl .halo text{stroke:#fff}}
"""
#: for paper: one font, no dark sheet, and no query that a printer's reader would not know
PRINTED = """
text{font-family:"Libertinus Serif";font-size:14.5px;fill:#1c2430}
.n{font-weight:600}.a{fill:#5a6473}.halo text{stroke:#ffffff;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}
.payer{fill:#4c6a92}.service{fill:#2b3648}.provider{fill:#1b8272}.platform{fill:#7a57b5}
.tax{fill:#8b93a1}.sponsor{fill:#c47d1c}.b{opacity:.28}
"""


class Node(msgspec.Struct, frozen=True):
    """Somebody that money passes through, in ``column`` 0, 1 or 2; ``count`` when it stands for several."""

    id: str
    label: str
    kind: str
    column: int
    count: int = 1


class Flow(msgspec.Struct):
    """Amounts (atoms of 10^−``scale`` ``currency``) by (source, target); every node is named in ``nodes``.

    ``written`` is how figures are written, when not as in English.
    """

    currency: str
    scale: int
    nodes: dict[str, Node] = {}
    links: dict[tuple[str, str], int] = {}
    written: Callable[[str], str] = str

    def add(self, source: Node, target: Node, atoms: int) -> None:
        """Add to the band between two nodes; what is not above zero is no band."""
        self.nodes[source.id], self.nodes[target.id] = source, target
        if atoms > 0:
            self.links[(source.id, target.id)] = self.links.get((source.id, target.id), 0) + atoms

    def amount(self, node: str) -> int:
        """What passes through a node."""
        into = sum(atoms for (_, target), atoms in self.links.items() if target == node)
        out = sum(atoms for (source, _), atoms in self.links.items() if source == node)
        return max(into, out)

    def column(self, number: int) -> list[Node]:
        """Nodes of a column that money passes through: by where most of it comes from, then by amount.

        Those that stand for several come after the others, then the platform, tax and the sponsor.
        """
        last = {PLATFORM: 2, TAX: 3, SPONSOR: 4}
        before = {node.id: place for place, node in enumerate(self.column(1))} if number == 2 else {}
        found = []
        for node in self.nodes.values():
            amount = self.amount(node.id) if node.column == number else 0
            if amount:
                into = [(pair[0], atoms) for pair, atoms in self.links.items() if pair[1] == node.id]
                sources = [(-atoms, before.get(source, 0)) for source, atoms in into]
                home = min(sources)[1] if before and sources else 0
                found.append((last.get(node.kind, int(node.count > 1)), home, -amount, node.id))
        return [self.nodes[key[-1]] for key in sorted(found)]


class Canvas(msgspec.Struct, frozen=True):
    """How a figure is drawn: pixels, room for labels at both sides, whether amounts take a line of their own."""

    width: int = 800
    height: int = 260
    left: int = 186
    right: int = 252
    slot: int = 20
    letters: int = 22
    two_lines: bool = False


WIDE = Canvas()
#: for a sheet of A4: lower, so that it stands beside what it explains
PAPER = Canvas(width=760, height=150, left=150, right=250, slot=19)
NARROW = Canvas(width=380, height=230, left=112, right=122, slot=31, letters=16, two_lines=True)


class Band(msgspec.Struct, frozen=True):
    """A placed band: from (``x0``, ``y0``) to (``x1``, ``y1``), ``width`` high at both ends, in hundredths."""

    source: str
    target: str
    x0: int
    y0: int
    x1: int
    y1: int
    width: int


def condense(flow: Flow, column: int, keep: int, words: str) -> Flow:
    """The same flow with all but the ``keep`` largest of a column's payers or providers drawn as one."""
    plain = [node for node in flow.column(column) if node.kind in (PAYER, PROVIDER)]
    if len(plain) <= keep + 1:
        return flow
    gone = {node.id for node in plain[keep:]}
    rest = Node(f"rest-{column}", f"{len(gone):,} more {words}", plain[0].kind, column, len(gone))
    less = Flow(flow.currency, flow.scale, written=flow.written)
    for (source, target), atoms in flow.links.items():
        ends = [rest if end in gone else flow.nodes[end] for end in (source, target)]
        less.add(ends[0], ends[1], atoms)
    return less


def place(flow: Flow, canvas: Canvas) -> tuple[dict[str, tuple[int, int, int]], list[Band], int]:
    """Where everything stands: bars by node as (x, y, height), bands, and the height of the figure; in hundredths."""
    columns = [flow.column(number) for number in range(3)]
    order = {node.id: (node.column, place) for column in columns for place, node in enumerate(column)}
    pairs = sorted(flow.links, key=lambda pair: (order[pair[0]], order[pair[1]]))
    widths: dict[tuple[str, str], int] = {}
    for number in (0, 1):
        between = [pair for pair in pairs if order[pair[0]][0] == number]
        if between:
            weights = [Exact(flow.links[pair]) for pair in between]
            widths |= dict(zip(between, allocate(canvas.height * _PX, weights).shares, strict=True))
    left, right = canvas.left * _PX, (canvas.width - canvas.right) * _PX - _BAR
    xs = (left, (left + right) // 2, right)
    bars: dict[str, tuple[int, int, int]] = {}
    heights = [_stack(column, widths, canvas) for column in columns]
    tall = max((total for _, total in heights), default=0)
    for number, (column, (slots, total)) in enumerate(zip(columns, heights, strict=True)):
        y = (tall - total) // 2 + 6 * _PX
        for node, (slot, height) in zip(column, slots, strict=True):
            bars[node.id] = (xs[number], y + (slot - height) // 2, height)
            y += slot
    return bars, _bands(pairs, widths, bars), tall + 12 * _PX


def _stack(column: list[Node], widths: dict[tuple[str, str], int], canvas: Canvas) -> tuple[list[tuple[int, int]], int]:
    """Slot and bar height of each node of a column, and the height of the column."""
    slots = []
    least = _TWO_LINES if column and column[0].column == 1 else canvas.slot
    for node in column:
        into = sum(width for pair, width in widths.items() if pair[1] == node.id)
        out = sum(width for pair, width in widths.items() if pair[0] == node.id)
        height = max(into, out)
        slots.append((max(height, least * _PX) + 5 * _PX, height))
    return slots, sum(slot for slot, _ in slots)


def _bands(
    pairs: list[tuple[str, str]], widths: dict[tuple[str, str], int], bars: dict[str, tuple[int, int, int]]
) -> list[Band]:
    leaving = {node: bar[1] for node, bar in bars.items()}
    arriving = dict(leaving)
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for pair in pairs:
        found[pair] = (leaving[pair[0]], 0)
        leaving[pair[0]] += widths[pair]
    for pair in sorted(pairs, key=lambda pair: (bars[pair[1]][1], bars[pair[0]][1])):
        found[pair] = (found[pair][0], arriving[pair[1]])
        arriving[pair[1]] += widths[pair]
    return [
        Band(s, t, bars[s][0] + _BAR, found[(s, t)][0], bars[t][0], found[(s, t)][1], widths[(s, t)]) for s, t in pairs
    ]


def flow_svg(flow: Flow, *, name: str, title: str, canvas: Canvas = WIDE, style: str = STYLE) -> str:
    """The figure as one ``<svg>``; ``name`` makes its ids unique on a page, ``title`` is what it is called."""
    bars, bands, tall = place(flow, canvas)
    size = "fl sm" if canvas.two_lines else "fl"
    lines = [
        f'<svg class="{size}" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {canvas.width} {_px(tall)}" role="img" '
        f'aria-labelledby="{name}-t {name}-d">',
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(_described(flow))}</desc>',
        f"<style>{style}</style>",
    ]
    for band in bands:
        kind = flow.nodes[band.source if flow.nodes[band.source].column == 0 else band.target].kind
        said = f"{flow.nodes[band.source].label} → {flow.nodes[band.target].label}: "
        amount = _amount(flow, flow.links[(band.source, band.target)])
        lines.append(f'<path class="b {kind}" d="{_ribbon(band)}"><title>{escape(said + amount)}</title></path>')
    for node, (x, y, height) in bars.items():
        lines.append(
            f'<rect class="{flow.nodes[node].kind}" x="{_px(x)}" y="{_px(y)}" width="{_px(_BAR)}" '
            f'height="{_px(max(height, _PX))}" rx="2"/>'
        )
    lines += [_label(flow, flow.nodes[node], bar, canvas) for node, bar in bars.items()]
    return "\n".join([*lines, "</svg>"])


def _ribbon(band: Band) -> str:
    middle = _px((band.x0 + band.x1) // 2)
    x0, x1 = _px(band.x0), _px(band.x1)
    top0, top1, low0, low1 = (_px(v) for v in (band.y0, band.y1, band.y0 + band.width, band.y1 + band.width))
    return (
        f"M{x0} {top0}C{middle} {top0} {middle} {top1} {x1} {top1}V{low1}C{middle} {low1} {middle} {low0} {x0} {low0}Z"
    )


def _label(flow: Flow, node: Node, bar: tuple[int, int, int], canvas: Canvas) -> str:
    x, y, height = bar
    middle = y + height // 2
    anchor, at = ("end", x - 7 * _PX) if node.column == 0 else ("start", x + _BAR + 7 * _PX)
    tight = canvas.two_lines and node.column == 1
    label = _short(node.label, 10 if tight else canvas.letters)
    amount = _amount(flow, flow.amount(node.id)).removesuffix(f" {flow.currency}" if tight else "")
    name, money = f'<tspan class="n">{escape(label)}</tspan>', f'<tspan class="a">{escape(amount)}</tspan>'
    halo = ' class="halo"' if node.column == 1 else ""
    if canvas.two_lines or node.column == 1 or height > 36 * _PX:
        lower = middle + (11 if canvas.two_lines else 13) * _PX
        lines = (f'<text x="{_px(at)}" y="{_px(middle - 2 * _PX)}" text-anchor="{anchor}">{name}</text>'
                 f'<text x="{_px(at)}" y="{_px(lower)}" text-anchor="{anchor}">{money}</text>')  # fmt: skip
        return f"<g{halo}>{lines}</g>"
    text = f"{money}  {name}" if node.column == 0 else f"{name}  {money}"
    return f'<g{halo}><text x="{_px(at)}" y="{_px(middle + 5 * _PX)}" text-anchor="{anchor}">{text}</text></g>'


def _short(label: str, letters: int) -> str:
    """A label of at most so many letters; the star of an invented party stays."""
    star = " *" if label.endswith(" *") else ""
    if len(label) <= letters:
        return label
    return label[: letters - 1 - len(star)].rstrip() + "…" + star


def _described(flow: Flow) -> str:
    """The figure in words."""
    words = []
    for number, verb in ((0, "pays"), (1, "takes"), (2, "receives")):
        words += [f"{node.label} {verb} {_amount(flow, flow.amount(node.id))}" for node in flow.column(number)]
    return "; ".join(words) + "."


def _amount(flow: Flow, atoms: int) -> str:
    """An amount for a label, to hundredths."""
    places = min(flow.scale, 2)
    grain = 10 ** (flow.scale - places)
    rounded = (2 * atoms + grain) // (2 * grain)
    if not rounded and atoms:
        return f"< {decimal_text(1, places)} {flow.currency}"
    return f"{flow.written(grouped(decimal_text(rounded, places)))} {flow.currency}"


def _px(hundredths: int) -> str:
    text = decimal_text(hundredths, 2).rstrip("0").rstrip(".")
    return text or "0"


def total(flow: Flow, kinds: Iterable[str]) -> int:
    """What nodes of these kinds pay or receive together."""
    wanted = set(kinds)
    return sum(flow.amount(node.id) for node in flow.nodes.values() if node.kind in wanted)
