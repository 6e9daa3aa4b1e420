"""Prometheus metrics in their own registry; all labels are small closed sets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from expertrag.api.errors import Conflict
from expertrag.api.events import AnswerEvent, GateEvent, PassagesEvent, UsageEvent
from expertrag.api.info import IndexStats, ReplicaStatus

if TYPE_CHECKING:
    from expertrag.llm.base import EndpointStatus

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class _Engine(Collector):
    """Exports the counters of the generation engine."""

    def __init__(self, counters: Callable[[], Mapping[str, int]]) -> None:
        self._counters = counters

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield all counters under one name; they include the reuse of prefixes."""
        family = CounterMetricFamily(
            "expertrag_engine", "Steps, rows and tokens of the generation engine.", labels=["what"]
        )
        for name, value in self._counters().items():
            family.add_metric([name], value)
        yield family


class _Endpoints(Collector):
    """Exports how the model servers are doing."""

    def __init__(self, statuses: Callable[[], Iterable[EndpointStatus]]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each figure; none for a model in this process."""
        statuses = tuple(self._statuses())
        if not statuses:
            return
        counter, gauge = CounterMetricFamily, GaugeMetricFamily
        for kind, name, text in (
            (counter, "requests", "Requests to a model server, repeated ones included."),
            (counter, "failures", "Requests that the model server failed."),
            (gauge, "outstanding", "Requests in progress."),
            (gauge, "healthy", "Whether the model server receives requests."),
        ):
            family = kind(f"expertrag_endpoint_{name}", text, labels=["endpoint"])
            for status in statuses:
                family.add_metric([status.where], float(getattr(status, name)))
            yield family


class Metrics:
    """The metrics of a server, and the port that exports them."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        gauge, counter = partial(Gauge, registry=registry), partial(Counter, registry=registry)
        seconds = partial(Histogram, buckets=LATENCY_BUCKETS_S, registry=registry)
        self.calls = counter("expertrag_calls", "Finished calls.", ["method", "code"])
        self.latency = seconds(
            "expertrag_call_seconds", "Time from a call's arrival to its end.", ["method"]
        )
        self.in_flight = gauge("expertrag_in_flight", "Calls that run or wait.")
        self._waiting = gauge("expertrag_waiting", "Calls that wait for a slot.")
        self._held = gauge("expertrag_in_flight_bytes", "Bytes of requests that are held.")
        self._loaded = gauge("expertrag_open_collections", "Collections in memory.")
        self.shed = counter(
            "expertrag_shed",
            "Calls rejected because of load or of the caller's quota.",
            ["method", "reason"],
        )
        self.http_requests = counter(
            "expertrag_http_requests",
            "HTTP requests; status 499: the caller hung up.",
            ["route", "status"],
        )
        self._gate = counter("expertrag_gate", "Decisions of the gate.", ["mode", "action"])
        self._scopes = counter(
            "expertrag_questions", "Questions by what they ask of the documents.", ["scope"]
        )
        self._stages = seconds("expertrag_stage_seconds", "Time of an answer by stage.", ["stage"])
        self._tokens = counter("expertrag_tokens", "Tokens of the language model.", ["kind"])
        self.compactions = counter("expertrag_compactions", "Compactions by the server.", ["code"])
        self._generation = gauge("expertrag_index_generation", "Served generation.")
        self._chunks = gauge("expertrag_index_chunks", "Live chunks.")
        self._documents = gauge("expertrag_index_documents", "Live documents.")
        self._set_unwatched()
        self._http: tuple[WSGIServer, threading.Thread] | None = None

    def _set_unwatched(self) -> None:
        self.generation: Callable[[], int] = lambda: 0
        self.replica: Callable[[], ReplicaStatus | None] = lambda: None

    def watch_load(self, waiting: Callable[[], int], held: Callable[[], int]) -> None:
        """Export the queue length and the bytes of requests at each scrape."""
        self._waiting.set_function(waiting)
        self._held.set_function(held)

    def watch_collections(self, loaded: Callable[[], int]) -> None:
        """Export the number of open collections at each scrape."""
        self._loaded.set_function(loaded)

    def watch_replica(self, status: Callable[[], ReplicaStatus | None]) -> None:
        """Export how far a copy or a URL is behind at each scrape, and count transfers."""
        self.transfers = Counter(
            "expertrag_replica_transfers",
            "Pulls and pushes of generations.",
            ["what", "code"],
            registry=self.registry,
        )
        newest = Gauge(
            "expertrag_replica_newest_generation",
            "Newest known generation: at the URL for a follower, in the store for a writer.",
            registry=self.registry,
        )
        behind = Gauge(
            "expertrag_replica_behind_seconds",
            "Time since the store and the URL were last known to have the same generation.",
            registry=self.registry,
        )
        newest.set_function(lambda: getattr(status(), "newest", 0))
        behind.set_function(lambda: getattr(status(), "seconds_behind", 0.0))
        self.replica = status

    def watch_engine(self, counters: Callable[[], Mapping[str, int]]) -> None:
        """Export the engine's counters at each scrape."""
        self.registry.register(_Engine(counters))

    def watch_endpoints(self, statuses: Callable[[], Iterable[EndpointStatus]]) -> None:
        """Export the state of the model servers at each scrape."""
        self.registry.register(_Endpoints(statuses))

    def observe(self, event: AnswerEvent, *, default: bool = False) -> None:
        """Update the metrics from an event of an answer.

        :param default: it is from the default store, whose generation is exported.
        """
        match event:
            case GateEvent(decision):
                self._gate.labels(decision.mode, decision.action).inc()
                if decision.scope is not None:
                    self._scopes.labels(decision.scope).inc()
            case PassagesEvent() if default:
                self._generation.set(event.generation)
            case UsageEvent(usage):
                self._tokens.labels("prompt").inc(usage.prompt_tokens)
                self._tokens.labels("completion").inc(usage.completion_tokens)
                for stage, seconds in usage.stage_seconds.items():
                    self._stages.labels(stage).observe(seconds)

    def observe_index(self, stats: IndexStats) -> None:
        """Export the size of the index."""
        self._generation.set(stats.generation)
        self._chunks.set(stats.chunks)
        self._documents.set(stats.documents)

    def watch_generation(self, served: Callable[[], int]) -> None:
        """Export the served generation of the default store at each scrape."""
        self._generation.set_function(served)
        self.generation = served

    def start(self, host: str, port: int) -> None:
        """Serve the metrics at ``http://host:port/metrics``; port 0 disables them.

        :raises Conflict: if the port is in use.
        """
        if not port:
            return
        try:
            self._http = start_http_server(port, host, self.registry)
        except OSError as error:
            raise Conflict(
                f"cannot serve metrics at {host}:{port} ({error.strerror}); "
                "choose another --metrics-port",
                reason="ADDRESS_IN_USE",
            ) from error

    def stop(self) -> None:
        """Close the port."""
        if self._http is not None:
            server, thread = self._http
            self._http = None
            server.shutdown()
            server.server_close()
            thread.join()
