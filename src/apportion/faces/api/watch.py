"""Watching: one JSON line per request, and metrics. Neither ever holds a secret, a body, a person or a path."""

from __future__ import annotations

import logging
import traceback
from collections import Counter as Counting
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from apportion.engine.exchange import UsageAnswer

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)


class Watch:
    """The log and the metrics of a node; ``level`` above info leaves out the lines of single requests."""

    def __init__(self, level: str = "info") -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("apportion_requests", "Requests.", ["route", "status"], registry=self.registry)
        self._seconds = Histogram(
            "apportion_request_seconds", "Time to answer.", registry=self.registry, buckets=_BUCKETS
        )
        self._records = Counter("apportion_usage_records", "Usage records.", ["state"], registry=self.registry)
        self._waiting = Gauge("apportion_waiting_records", "Records that wait for the writer.", registry=self.registry)
        self._told = Counter("apportion_webhook_tries", "Events sent to webhooks.", ["ended"], registry=self.registry)
        self._listening = Gauge("apportion_listeners", "Streams of events that are followed.", registry=self.registry)
        self._ran = Counter("apportion_schedule_runs", "Scheduled jobs.", ["job", "ended"], registry=self.registry)
        number = logging.getLevelNamesMapping()[level.upper()]
        self._every = number <= logging.INFO
        self._log = structlog.wrap_logger(
            structlog.PrintLogger(_stderr()),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(number),
            cache_logger_on_first_use=True,
        )
        self._cells: dict[tuple[str, int], Any] = {}
        self._states: dict[str, Any] = {}

    def request(self, id: str, route: str, key: str, status: int, seconds: float) -> None:
        """One request is answered."""
        cell = self._cells.get((route, status))
        if cell is None:
            cell = self._cells[route, status] = self._requests.labels(route, str(status))
        cell.inc()
        self._seconds.observe(seconds)
        if self._every:
            ms = round(seconds * 1000, 2)
            self._log.info("request", request_id=id, operation=route, key=key, status=status, ms=ms)

    def told(self, answer: Any) -> None:
        """Usage records ended in their classes."""
        if isinstance(answer, UsageAnswer):
            for state, count in Counting([record.state.value for record in answer.records]).items():
                if state not in self._states:
                    self._states[state] = self._records.labels(state)
                self._states[state].inc(count)

    def delivered(self, accepted: bool) -> None:
        """A webhook was told of an event, or was not."""
        self._told.labels("accepted" if accepted else "failed").inc()

    def ran(self, job: str, done: bool) -> None:
        """A job of the schedule did something, or broke."""
        self._ran.labels(job, "done" if done else "broke").inc()
        if done:
            self._log.info("schedule", job=job)

    def event(self, what: str, **facts: Any) -> None:
        """Something that an operator should know."""
        self._log.warning(what, **facts)

    def note(self, what: str, **facts: Any) -> None:
        """Something that is good to know."""
        self._log.info(what, **facts)

    def crash(self, id: str, error: BaseException) -> None:
        """A request that should not have failed: where in the code, never with which values."""
        places = [
            f"{frame.filename.rpartition('apportion/')[2]}:{frame.lineno}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        self._log.error("internal", request_id=id, error=type(error).__name__, at=places[-6:])

    def metrics(self, waiting: int, listening: int = 0) -> tuple[str, bytes]:
        """The metrics as Prometheus reads them."""
        self._waiting.set(waiting)
        self._listening.set(listening)
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)


def _stderr() -> Any:
    import sys

    return sys.stderr
