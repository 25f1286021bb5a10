"""Asking provider nodes: all at once, until the deadline and no longer; what does not count by then never will.

The calling thread waits, so it must be one of the broker's own and never the writer.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from apportion.engine.broker.haggling import over_target
from apportion.model.bid import Acceptance, Agreed, Asked, Finished
from apportion.model.bid_check import GoodBid, Unfit, instant, read_agreed, read_bid
from apportion.model.market import Offer
from apportion.ports import Heard, Outside, ProviderPort

#: how long after the deadline bids that came before it may still be read, in seconds
READING = 0.05


class Node(msgspec.Struct, frozen=True):
    """A provider's node: its ``address``, and the public ``key`` that its word is signed by."""

    provider: str
    address: str
    key: str


class Answers(msgspec.Struct, frozen=True):
    """What came back: ``bids`` that count by provider, and for every other node why there is none."""

    bids: dict[str, GoodBid]
    missed: dict[str, Unfit]

    @property
    def offers(self) -> list[Offer]:
        """All offers of the bids that count, in the order of their providers."""
        return [offer for name in sorted(self.bids) for offer in self.bids[name].offers]


#: the place of a question, what was heard, and when
Came = tuple[int, Heard, float]


def ask_all(outside: Outside, port: ProviderPort, nodes: Iterable[Node], question: Asked, seconds: float) -> Answers:
    """Ask every node the same question and wait for ``seconds`` at most, a twentieth of one more to read what came."""
    return ask_each(outside, port, [(node, question) for node in nodes], seconds)


def ask_each(outside: Outside, port: ProviderPort, asked: Sequence[tuple[Node, Asked]], seconds: float) -> Answers:
    """Ask every node a question of its own, such as a counter-offer; each provider at most once."""
    began = time.monotonic()
    end, came = began + seconds, SimpleQueue[Came]()
    found, waiting = Answers({}, {}), set(range(len(asked)))
    work = functools.partial(port.ask, [(node.address, question) for node, question in asked], _teller(came))
    with contextlib.suppress(RuntimeError):  # this node of ours is stopping: nothing is sent any more
        outside.submit(work, seconds, lambda _result, _error: None)
    while waiting:
        now = time.monotonic()
        if now > end + READING:
            break
        try:
            at, heard, arrived = came.get(timeout=end - now) if now < end else came.get_nowait()
        except Empty:
            if now < end:
                continue  # what came in the last moment is still read
            break
        if arrived <= end:
            waiting.discard(at)
            _read(found, *asked[at], (heard, arrived - began), port)
    for at in waiting:
        found.missed[asked[at][0].provider] = Unfit("late", f"It did not answer within {int(seconds * 1000)} ms.")
    return found


def accept_bid(
    outside: Outside,
    port: ProviderPort,
    node: Node,
    good: GoodBid,
    now: str,
    seconds: float,
    offers: tuple[int, ...] = (),
) -> Agreed | Unfit:
    """Take the ``offers`` of a bid (by their places, all when none) at its node, and wait for the confirmation.

    Whatever else comes back, or does not, says why it is not agreed. A confirmation that was lost may be asked for
    again: the same acceptance has one effect.
    """
    work = functools.partial(port.accept, node.address, good.bid.rfq, Acceptance(good.signed, offers))
    heard = _one(outside, work, seconds)
    if isinstance(heard, Unfit):
        return heard
    return read_agreed(heard.body, good, offers, (node.provider, node.key), instant(now), port.holds)


def end_bid(outside: Outside, port: ProviderPort, node: Node, rfq: str, reason: str, seconds: float) -> None:
    """Tell a node that nothing more comes of a request; nobody waits for its answer."""
    work = functools.partial(port.end, node.address, rfq, Finished(reason))
    outside.submit(work, seconds, lambda _result, _error: None)


def _one(outside: Outside, work: Callable[[], Coroutine[Any, Any, Heard]], seconds: float) -> Heard | Unfit:
    """What one node answers to one thing."""
    came: SimpleQueue[Heard | BaseException] = SimpleQueue()
    try:
        outside.submit(work, seconds, lambda heard, error: came.put(heard if error is None else error))
        heard = came.get(timeout=seconds + READING)
    except (Empty, RuntimeError) as error:
        heard = error
    if isinstance(heard, Heard):
        return _unheard(heard) or heard
    return Unfit("late", f"It did not answer within {int(seconds * 1000)} ms.")


def _teller(came: SimpleQueue[Came]) -> Callable[[int, Heard], None]:
    return lambda at, heard: came.put((at, heard, time.monotonic()))


def _unheard(heard: Heard) -> Unfit | None:
    """Why nothing was heard, if so."""
    return Unfit(heard.fault, heard.detail) if heard.fault else None


def _read(found: Answers, node: Node, asked: Asked, came: tuple[Heard, float], port: ProviderPort) -> None:
    """Judge what one node sent, so many seconds after it was asked."""
    heard, passed = came
    unheard = _unheard(heard)
    if unheard is None:
        now = instant(asked.at) + timedelta(microseconds=int(passed * 1_000_000))
        judged = read_bid(heard.body, asked, (node.provider, node.key), now, port.holds)
        if isinstance(judged, GoodBid):
            part = over_target(judged.bid, asked)
            if not part:
                found.bids[node.provider] = judged
                return
            judged = Unfit("price", f"It accepts the counter-offer for {part!r} and asks more.")
        unheard = judged
    found.missed[node.provider] = unheard
