"""What happens, in numbers for Prometheus; every app counts for itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from lorasdk.asking import SchedulerLoad
from lorasdk.errors import LorasdkError
from lorasdk.results import Completion
from lorasdk.serving.refusing import CLIENT_GONE, status_of

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
NOBODY = "unknown"
"""Label of requests for models that do not exist: clients shall not be able to make labels up."""
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters and histograms of one app, and its scheduler's load when it is asked."""

    def __init__(self, load: Callable[[], SchedulerLoad | None]) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests for answers, by how they ended.", "model", "outcome")
        self.prompt_tokens = self._counter("prompt_tokens", "Tokens of answered prompts.", "model")
        self.completion_tokens = self._counter("completion_tokens", "Tokens of whole answers.", "model")
        self.seconds = self._histogram("request_seconds", "Whole requests.")
        self.first = self._histogram("time_to_first_token_seconds", "From a request to the first of its answer.")
        self._gauge("waiting", "Answers in the queue.", lambda: _of(load(), lambda now: now.waiting))
        self._gauge("running", "Answers being computed.", lambda: _of(load(), lambda now: now.running))
        self._gauge("max_waiting", "Room in the queue.", lambda: _of(load(), lambda now: now.max_waiting))
        self._gauge("max_rows", "Answers computed together at most.", lambda: _of(load(), lambda now: now.max_rows))

    def page(self) -> bytes:
        """All of it as text."""
        return generate_latest(self._registry)

    @contextmanager
    def measured(self) -> Iterator[Measure]:
        """Count one request, however it ends."""
        measure = Measure(self)
        try:
            yield measure
        except LorasdkError as error:
            measure.outcome = outcome_of(error)
            raise
        finally:
            measure.end()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace="lorasdk", registry=self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, ["model"], buckets=SECONDS, namespace="lorasdk", registry=self._registry)

    def _gauge(self, name: str, text: str, now: Callable[[], float]) -> None:
        Gauge(name, text, namespace="lorasdk", registry=self._registry).set_function(now)


class Measure:
    """One request for answers."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics, self._began, self._heard = metrics, time.perf_counter(), False
        self.model, self.outcome = NOBODY, "cancelled"

    def heard(self) -> None:
        """Some of an answer is there."""
        if not self._heard:
            self._heard = True
            self._metrics.first.labels(self.model).observe(time.perf_counter() - self._began)

    def answered(self, completion: Completion) -> None:
        """An answer is whole."""
        self._metrics.prompt_tokens.labels(self.model).inc(completion.prompt_tokens)
        self._metrics.completion_tokens.labels(self.model).inc(completion.completion_tokens)

    def end(self) -> None:
        """It is over."""
        self._metrics.requests.labels(self.model, self.outcome).inc()
        self._metrics.seconds.labels(self.model).observe(time.perf_counter() - self._began)


def outcome_of(error: LorasdkError) -> str:
    """One word for how a request failed."""
    match status_of(error):
        case 429:
            return "busy"
        case 408 | 504:
            return "timeout"
        case status if status == CLIENT_GONE:
            return "cancelled"
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return "timeout" if error.code == "serving.waited-too-long" else "failed"
        case _:
            return "refused"


def _of(load: SchedulerLoad | None, number: Callable[[SchedulerLoad], int]) -> float:
    return 0.0 if load is None else number(load)
