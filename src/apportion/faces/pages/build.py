"""Pages out of records: one file each, styles inside, nothing fetched from anywhere."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from apportion.faces.pages.flow import NARROW, PAYER, PROVIDER, SERVICE, TAX, WIDE, Flow, Node, condense, flow_svg
from apportion.faces.pages.phrases import phrases_of
from apportion.model.statement import Document, Measured, Remittance, Section, Statement, TookPart
from apportion.stages.statement import amount_of, day, decimals, grouped, price_of, quantity, span

SHOWN = 10  # so many of a document's lines are drawn; the others are one


def document_page(document: Document) -> str:
    """A statement or remittance advice as one HTML file."""
    if isinstance(document, Statement):
        taxed = any(tax.name for tax in document.taxes)
        figure = _figure(statement_flow(document), document)
        return (
            _environment()
            .get_template("statement.html")
            .render(d=document, taxed=taxed, figure=figure, say=phrases_of(document))
        )
    figure = _figure(remittance_flow(document), document)
    return _environment().get_template("remittance.html").render(d=document, figure=figure, say=phrases_of(document))


def page(template: str, **values: Any) -> str:
    """Any other page of the templates beside this file."""
    return _environment().get_template(template).render(**values)


def statement_flow(s: Statement) -> Flow:
    """What a payer sees of the flow: services, their parts of the fee, tax. Never what anybody earned."""
    places = len(s.total.partition(".")[2])
    flow = Flow(s.currency, places, written=phrases_of(s).figures)
    me = Node("me", s.name, PAYER, 0)
    for section in s.sections:
        whose = f"{section.payer or section.account}: " if section.account else ""
        service = Node(f"s:{section.account}:{section.service}", whose + section.name, SERVICE, 1)
        for item in section.items:
            net, tax = (int(text.replace(".", "")) for text in (item.net, item.tax))
            flow.add(me, service, net + tax)
            flow.add(service, Node(f"i:{section.service}:{item.label}", item.label, PROVIDER, 2), net)
            flow.add(service, Node(f"tax:{item.category}", item.category.upper() or "tax", TAX, 2), tax)
    return condense(flow, 2, SHOWN, "lines")


def remittance_flow(r: Remittance) -> Flow:
    """What a provider sees of the flow: its own dues by service and part."""
    places = len(r.total.partition(".")[2])
    flow = Flow(r.currency, places)
    for due in r.dues:
        service = Node(f"s:{due.service}", due.label, SERVICE, 0)
        part = Node(f"p:{due.part}", due.part, SERVICE, 1)
        atoms = int(due.payable.replace(".", ""))
        flow.add(service, part, atoms)
        flow.add(part, Node("me", r.name, PROVIDER, 2), atoms)
    return flow


def _figure(flow: Flow, document: Document) -> tuple[Markup, Markup] | None:
    """The flow twice, for wide and for narrow screens; none when there is nothing to tell apart or to give back."""
    total = int(document.total.replace(".", ""))
    whole = sum(atoms for (source, _), atoms in flow.links.items() if flow.nodes[source].column == 0)
    if len(flow.links) < 3 or not 0 < total == whole:
        return None
    return figure(flow, f"flow-{document.number}", f"Where the money of {document.number} goes")


def figure(flow: Flow, name: str, title: str) -> tuple[Markup, Markup]:
    """A flow drawn for wide and for narrow screens."""
    wide = flow_svg(flow, name=name, title=title, canvas=WIDE)
    return Markup(wide), Markup(flow_svg(flow, name=f"{name}-n", title=title, canvas=NARROW))


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        money=grouped,
        exact=decimals,
        day=day,
        span=lambda d: span(d.start, d.end, d.zone),
        used=amount_of,
        price=price_of,
        measured=_measured,
        nonzero=lambda text: bool(text.strip("-0.")),
        flip=lambda text: grouped(text[1:] if text.startswith("-") else text),
        deliverers=deliverers,
        brief=lambda name: name.partition(" (")[0],
        sentence=lambda text: text[:1].upper() + text[1:],
    )
    return environment


def _measured(measured: Measured) -> str:
    return quantity(measured.quantity, measured.unit)


def deliverers(section: Section) -> list[tuple[str, list[TookPart]]]:
    """Who delivered a service, by part."""
    parts: dict[str, list[TookPart]] = {}
    for took in section.providers:
        parts.setdefault(took.part.replace("-", " ").capitalize(), []).append(took)
    return list(parts.items())
