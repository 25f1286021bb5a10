"""Capacity: what running sessions have taken of an offer, so that no unit of it is sold twice.

The check and its effect are one step on the working set, so two sessions can never take the same last unit. What comes
back are lines for the row of the session's own change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from apportion.engine.market.naming import OFFER, room_id, taken_id
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.model.standing import CapacityLine, OfferLine, TakenLine
from apportion.money import Exact

_ROOM = msgspec.json.Decoder(CapacityLine)
_TAKEN = msgspec.json.Decoder(TakenLine)
_OFFER = msgspec.json.Decoder(OfferLine)
_NONE = Exact(0)


def check_free(work: Work, offer: str, needs: Mapping[str, str], capacity: Mapping[str, str]) -> None:
    """See whether so much is free, and change nothing; as ``take``.

    Raises:
        Refused: PLAN_ENDED when a measure has less free than is needed.
    """
    _sums(_room(work, offer), needs, _bound(work, offer, capacity))


def take(
    work: Work, offer: str, session: str, needs: Mapping[str, str], capacity: Mapping[str, str]
) -> tuple[bytes, ...]:
    """Set units of an offer aside for a session, until it gives them back; lines to be appended.

    Measures without a capacity have no bound. A live offer's own capacity counts, as it stands now; ``capacity`` is
    that of an offer of the catalog.

    Args:
        offer: id of a live offer (``ofr_…``) or of one of the catalog.
        needs, capacity: units by measure, decimal text.

    Raises:
        Refused: PLAN_ENDED when a measure has less free than is needed, or the offer was withdrawn; nothing is changed
            then. What is staged here can not be taken back, so it is the last thing that may refuse.
    """
    bound = _bound(work, offer, capacity)
    wanted = {measure: units for measure, units in needs.items() if measure in bound and Exact.parse(units)}
    if not wanted:
        return ()
    before = _room(work, offer)
    taken = _sums(before, wanted, bound)
    room = CapacityLine(
        id=room_id(offer), n=before.n + 1 if before is not None else 1, at=work.at, offer=offer, session=session,
        units=wanted, taken=taken, capacity=bound,
    )  # fmt: skip
    known = _of(work, offer, session)
    units = added(known.units if known is not None else {}, wanted)
    mine = TakenLine(id=taken_id(offer, session), at=work.at, offer=offer, session=session, units=units)
    return work.move(room), work.move(mine)


def give_back(work: Work, offers: Iterable[str], session: str) -> tuple[bytes, ...]:
    """Free what a session has of these offers; lines to be appended, none when it has nothing."""
    lines: list[bytes] = []
    for offer in dict.fromkeys(offers):
        mine, before = _of(work, offer, session), _room(work, offer)
        if mine is None or before is None or not mine.units:
            continue
        left = added(before.taken, mine.units, back=True)
        room = msgspec.structs.replace(
            before, n=before.n + 1, at=work.at, session=session, units=mine.units, back=True, taken=left
        )
        lines.append(work.move(room))
        lines.append(work.move(msgspec.structs.replace(mine, at=work.at, units={})))
    return tuple(lines)


def added(had: Mapping[str, str], units: Mapping[str, str], *, back: bool = False) -> dict[str, str]:
    """What is had by measure after units came, or went back; measures of which nothing is left are left out."""
    sums = {measure: Exact.parse(text) for measure, text in had.items()}
    for measure, text in units.items():
        change = Exact.parse(text)
        sums[measure] = sums.get(measure, _NONE) + (-change if back else change)
    return {measure: sums[measure].text() for measure in sorted(sums) if sums[measure]}


def _sums(room: CapacityLine | None, needs: Mapping[str, str], bound: Mapping[str, str]) -> dict[str, str]:
    """What would be taken with these needs.

    Raises:
        Refused: PLAN_ENDED.
    """
    had = room.taken if room is not None else {}
    after = added(had, {measure: units for measure, units in needs.items() if measure in bound})
    for measure in sorted(needs):
        if measure in bound and Exact.parse(after.get(measure, "0")) > Exact.parse(bound[measure]):
            free = max(Exact.parse(bound[measure]) - Exact.parse(had.get(measure, "0")), _NONE)
            raise refuse(
                RefusalCode.PLAN_ENDED,
                f"the offer has {free.text()} {measure} free, {needs[measure]} are needed.",
                field="offer",
                fix="Ask for a new plan.",
            )
    return after


def _live(work: Work, offer: str) -> OfferLine | None:
    stored = work.course(offer) if offer.startswith(OFFER) else b""
    return _OFFER.decode(stored) if stored else None


def _bound(work: Work, offer: str, capacity: Mapping[str, str]) -> dict[str, str]:
    """The capacity that counts.

    Raises:
        Refused: PLAN_ENDED when the offer was withdrawn.
    """
    live = _live(work, offer)
    if live is None:
        return dict(capacity)
    if live.withdrawn:
        raise refuse(RefusalCode.PLAN_ENDED, "the offer was withdrawn.", field="offer", fix="Ask for a new plan.")
    return live.offer.capacity


def _room(work: Work, offer: str) -> CapacityLine | None:
    stored = work.course(room_id(offer))
    return _ROOM.decode(stored) if stored else None


def _of(work: Work, offer: str, session: str) -> TakenLine | None:
    stored = work.course(taken_id(offer, session))
    return _TAKEN.decode(stored) if stored else None
