"""How a node tells the outside what happens: event streams and webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from apportion.errors import Misconfigured

if TYPE_CHECKING:
    from apportion.faces.api.node import Node


@Parameter(name="*")
@dataclass(frozen=True)
class Hearing:
    """How patiently streams are kept and webhooks are tried."""

    webhook_retry: Annotated[
        int, Parameter(help="How many seconds to wait after a webhook's first failure; then twice as long, and so on.")
    ] = 5
    stream_beat: Annotated[int, Parameter(help="How many seconds lie between two signs of life of a stream.")] = 15
    stream_stall: Annotated[int, Parameter(help="After how many seconds who does not read a stream is cut off.")] = 10

    def begin(self, node: Node, *, private: bool) -> None:
        """Let a node tell by these; ``private`` lets webhooks lead inside of networks.

        Raises:
            Misconfigured: a number is below one.
        """
        from apportion.faces.api.hub import Bounds

        if min(self.webhook_retry, self.stream_beat, self.stream_stall) < 1:
            raise Misconfigured("--webhook-retry, --stream-beat and --stream-stall are at least one second.")
        node.tell_by(Bounds(beat=self.stream_beat, stall=self.stream_stall), private=private, first=self.webhook_retry)


HEARING = Hearing()
