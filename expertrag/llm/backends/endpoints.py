"""Servers of one model: which is asked next, and which are left out while they fail.

A request goes to the endpoint with the fewest outstanding ones. An endpoint is ejected after
``_FAILURES`` requests or probes in a row that failed. It returns half open, by a probe that
succeeds: one request at a time, until one gets its first token. This is outlier detection as in
Envoy with the half-open state of a circuit breaker. If all are ejected, they are asked
nevertheless: an error of a server says more than a refusal.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import openai
from openai.types import Model

from expertrag.api.errors import ExpertRAGError, InvalidArgument
from expertrag.llm.backends.openai_errors import is_transient, translate
from expertrag.llm.base import EndpointStatus

PROBE_EVERY_S = 2.0
PROBE_TIMEOUT_S = 3.0
_FAILURES = 3
_SHOWN_MODELS = 3  # of a server in a message
_EJECTED_S, _MAX_EJECTED_S = 1.0, 60.0  # doubles as long as trials fail

_log = logging.getLogger(__name__)


class EndpointState(StrEnum):
    """Whether an endpoint gets requests."""

    HEALTHY = "healthy"
    EJECTED = "ejected"
    HALF_OPEN = "half open"


@dataclass(frozen=True, slots=True)
class ServedModels:
    """What a server says of its models; empty if it has no list of them.

    ``models``: ids and aliases. ``context_tokens``: of a request to the model, if it says so.
    """

    models: tuple[str, ...] = ()
    context_tokens: int | None = None
    llama_cpp: bool = False


class Endpoint:
    """One server, and how it is doing. Changed by one event loop; its status is for any thread."""

    def __init__(self, url: str, client: openai.AsyncOpenAI) -> None:
        self.where = place_of(url)
        self.client = client
        self.llama_cpp = False
        self.state = EndpointState.HEALTHY
        self.outstanding = 0
        self.turn = 0
        self._requests = self._failures = 0
        self._failed_requests = self._failed_probes = self._ejections = 0  # in a row
        self._until = 0.0

    @property
    def available(self) -> bool:
        """Whether it should be asked now."""
        trial = self.state is EndpointState.HALF_OPEN and not self.outstanding
        return trial or self.state is EndpointState.HEALTHY

    @property
    def status(self) -> EndpointStatus:
        """Its state and counters."""
        healthy = self.state is not EndpointState.EJECTED
        return EndpointStatus(self.where, healthy, self._requests, self._failures, self.outstanding)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request from its start to its end."""
        self._requests += 1
        self.outstanding += 1
        try:
            yield
        finally:
            self.outstanding -= 1

    def record_success(self) -> None:
        """Record that a request got its first token."""
        self._failed_requests = self._failed_probes = self._ejections = 0
        if self.state is not EndpointState.HEALTHY:
            _log.info("model server %s: healthy again", self.where)
        self.state = EndpointState.HEALTHY

    def record_failure(self, why: str) -> None:
        """Record that a request failed through a fault of the server."""
        self._failures += 1
        self._failed_requests += 1
        if self.state is EndpointState.HALF_OPEN or self._failed_requests >= _FAILURES:
            self.eject(why)

    def record_probe(self, why: str = "") -> None:
        """Record a probe, and why it failed."""
        self._failed_probes = self._failed_probes + 1 if why else 0
        if why and (self.state is EndpointState.HALF_OPEN or self._failed_probes >= _FAILURES):
            self.eject(why)
        elif not why and self.state is EndpointState.EJECTED and time.monotonic() >= self._until:
            self.state = EndpointState.HALF_OPEN

    def eject(self, why: str) -> None:
        """Leave it out until a probe succeeds, and for a while that doubles with failed trials."""
        if self.state is EndpointState.EJECTED:
            return
        self.state = EndpointState.EJECTED
        out_s = min(_EJECTED_S * 2 ** min(self._ejections, 10), _MAX_EJECTED_S)
        self._until = time.monotonic() + out_s
        self._ejections += 1
        _log.warning("model server %s is left out until it answers: %s", self.where, why)


def place_of(url: str) -> str:
    """Return host and port of an endpoint, and its path if it is not /v1; without a password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path.rstrip("/").removesuffix("/v1")


class Endpoints:
    """The servers of a model. Not thread-safe, except for ``statuses``."""

    def __init__(
        self,
        model: str,
        endpoints: Sequence[Endpoint],
        learn: Callable[[], Callable[[ServedModels], None] | None],
    ) -> None:
        """Take at least one endpoint.

        :param learn: a weak reference to what is called with what an endpoint says of the model,
            each time that it is probed.
        """
        self._model = model
        self._all = tuple(endpoints)
        self._learn = learn
        self._turns = itertools.count(1)

    @property
    def several(self) -> bool:
        """Whether there is a choice."""
        return len(self._all) > 1

    @property
    def llama_cpp(self) -> bool:
        """Whether a request may go to llama.cpp's server."""
        return any(endpoint.llama_cpp for endpoint in self._all)

    @property
    def statuses(self) -> tuple[EndpointStatus, ...]:
        """The state and the counters of each."""
        return tuple(endpoint.status for endpoint in self._all)

    def pick(self, tried: Endpoint | None = None) -> Endpoint:
        """Return the available endpoint, other than ``tried``, with the fewest requests."""
        left = [endpoint for endpoint in self._all if endpoint is not tried]
        chosen = min(left, key=lambda one: (not one.available, one.outstanding, one.turn))
        chosen.turn = next(self._turns)
        return chosen

    def instead(self, tried: Endpoint, error: Exception) -> Endpoint | None:
        """Return another endpoint for a request of which nothing was streamed yet.

        None if there is none, or the fault may lie in the request. An endpoint that is ejected may
        be back, and costs no more than the error that there is already. A request to a server at
        its limit is not repeated at an ejected one.
        """
        if not (self.several and is_transient(error)):
            return None
        other = self.pick(tried)
        limited = isinstance(error, openai.RateLimitError)
        return None if limited and not other.available else other

    async def start(self) -> None:
        """Ask all endpoints for their models; those that do not answer are ejected.

        :raises ExpertRAGError: if none answers.
        :raises InvalidArgument: if one serves other models.
        """
        answers = await self.listings(PROBE_TIMEOUT_S if self.several else None)
        errors = {one: said for one, said in answers.items() if isinstance(said, ExpertRAGError)}
        if len(errors) == len(self._all):
            raise next(iter(errors.values()))
        for endpoint, error in errors.items():
            endpoint.eject(error.message)
        listings = {one: said for one, said in answers.items() if isinstance(said, ServedModels)}
        self._check_served(listings)
        for endpoint, listing in listings.items():
            self._note(endpoint, listing)

    async def watch(self, every_s: float) -> None:
        """Probe all endpoints every so many seconds; does not return."""
        while True:
            await asyncio.sleep(every_s)
            await asyncio.gather(*map(self._probe, self._all))

    async def close(self) -> None:
        """Close all connections."""
        for endpoint in self._all:
            await endpoint.client.close()

    async def listings(
        self, timeout_s: float | None
    ) -> dict[Endpoint, ServedModels | ExpertRAGError]:
        """Ask all endpoints for their models; the value is the error of one that does not answer.

        :param timeout_s: None for the clients' own timeouts.
        """
        listings = await asyncio.gather(
            *(_listing(one, self._model, timeout_s) for one in self._all)
        )
        return dict(zip(self._all, listings, strict=True))

    async def _probe(self, endpoint: Endpoint) -> None:
        said = await _listing(endpoint, self._model, PROBE_TIMEOUT_S)
        if isinstance(said, ExpertRAGError):
            endpoint.record_probe(said.message)
        elif said.models and self._model not in said.models:
            endpoint.eject(f"it serves {said.models[0]!r} instead of {self._model!r}")
        else:
            self._note(endpoint, said)
            endpoint.record_probe()

    def _note(self, endpoint: Endpoint, listing: ServedModels) -> None:
        endpoint.llama_cpp = listing.llama_cpp
        if learn := self._learn():
            learn(listing)

    def _check_served(self, listings: dict[Endpoint, ServedModels]) -> None:
        named = {endpoint: said.models for endpoint, said in listings.items() if said.models}
        if all(self._model in models for models in named.values()):
            return
        served = ", ".join(
            f"{one.where} serves {' and '.join(map(repr, models[:_SHOWN_MODELS]))}"
            for one, models in named.items()
        )
        cure = (
            "start them with the same model id, or leave out the endpoints of another model"
            if self.several
            else "name a model that it serves after the # of --generator"
        )
        raise InvalidArgument(
            f"the endpoints must all serve the model {self._model!r}, but {served}; {cure}"
        )


async def _listing(
    endpoint: Endpoint, model: str, timeout_s: float | None
) -> ServedModels | ExpertRAGError:
    try:
        async with asyncio.timeout(timeout_s):
            entries = (await endpoint.client.models.list()).data
        mine = next((entry for entry in entries if model in _ids(entry)), None)
        return ServedModels(
            tuple(name for entry in entries for name in _ids(entry)),
            _context_tokens(mine) if mine else None,
            any(entry.owned_by == "llamacpp" for entry in entries),
        )
    except openai.NotFoundError:
        return ServedModels()
    except Exception as error:
        return translate(error, endpoint.where)


def _ids(entry: Model) -> tuple[str, ...]:
    """Return the id of a model in a server's list, and its aliases (llama.cpp)."""
    aliases = (entry.model_extra or {}).get("aliases")
    return tuple(dict.fromkeys((entry.id, *(aliases if isinstance(aliases, list) else ()))))


def _context_tokens(entry: Model) -> int | None:
    """Return a model's context length, if the server reports it (vLLM, llama.cpp)."""
    extra = entry.model_extra or {}
    meta = extra.get("meta")
    tokens = extra.get("max_model_len", meta.get("n_ctx") if isinstance(meta, dict) else None)
    return tokens if isinstance(tokens, int) else None
