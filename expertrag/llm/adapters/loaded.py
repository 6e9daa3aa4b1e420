"""Adapters (LoRA) of a model on our engine, which come and go while it runs.

Each sequence multiplies by the base's weights and adds the updates of its adapter alone, as in
S-LoRA (Sheng et al. 2023), so that requests with different adapters share every step. An adapter
that is unloaded serves the requests that use it to their end; its memory is free after the last.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expertrag.api.adapters import AdapterInfo
from expertrag.api.errors import Conflict, InvalidArgument, NotFound
from expertrag.llm.adapters.lora import LoraWeights, Projection, target_of
from expertrag.llm.adapters.peft_folder import adapter_error, read_peft
from expertrag_kernels.packed import WeightUpdate
from expertrag_kernels.steps import Steps

_NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, eq=False)
class LoadedAdapter:
    """An adapter that is ready to run. ``updates``: what the engine's decoder made of it."""

    info: AdapterInfo
    updates: Any


class LoadedAdapters:
    """The adapters of one model, by name. Thread-safe."""

    def __init__(self, decoder: Steps[Any, Any], weights: Mapping[str, Any]) -> None:
        """Start without adapters.

        :param weights: of the decoder, by name; see ``Lowered``.
        """
        self._decoder = decoder
        self._weights = weights
        self._lock = threading.Lock()
        self._served: dict[str, LoadedAdapter] = {}
        self._held: dict[str, LoadedAdapter] = {}  # by running requests, unloaded or not
        self._holders: Counter[str] = Counter()

    def load(self, name: str, folder: Path) -> AdapterInfo:
        """Read an adapter in peft's layout, and serve it.

        :raises InvalidArgument: the name, the folder or what is in it cannot be used.
        :raises NotFound: the folder has no adapter.
        :raises Conflict: there is an adapter of this name, or running requests use one.
        """
        if not _NAMES.fullmatch(name):
            raise InvalidArgument(
                f"adapter: the name {name!r} is invalid; use up to 64 letters, digits, '.', '_' "
                "and '-'"
            )
        self._check_free(name)
        read = read_peft(folder)
        updates = [
            self._update(folder, projection, weights)
            for projection, weights in read.weights.items()
        ]
        made = self._decoder.adapter(updates)
        info = AdapterInfo(
            name,
            max(weights.down.shape[0] for weights in read.weights.values()),
            made.nbytes,
            read.digest,
            read.base,
        )
        with self._lock:
            self._check_free(name)
            self._served[name] = LoadedAdapter(info, made)
        return info

    def unload(self, name: str) -> None:
        """Refuse an adapter to new requests; those that use it go on.

        :raises NotFound: there is no such adapter.
        """
        with self._lock:
            if self._served.pop(name, None) is None:
                raise NotFound(f"adapter: {self._unknown(name)}", reason="ADAPTER_NOT_FOUND")

    def all(self) -> tuple[AdapterInfo, ...]:
        """Describe the adapters that are served, by name."""
        with self._lock:
            return tuple(self._served[name].info for name in sorted(self._served))

    def find(self, name: str) -> LoadedAdapter:
        """Return an adapter: one that is served, or that a running request holds.

        :raises InvalidArgument: there is no such adapter.
        """
        with self._lock:
            return self._find(name)

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Keep an adapter for a request of several prompts, even if it is unloaded meanwhile.

        :raises InvalidArgument: there is no such adapter.
        """
        with self._lock:
            self._held[name] = self._find(name)
            self._holders[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders[name] -= 1
                if not self._holders[name]:
                    del self._holders[name], self._held[name]

    def check(self, name: str) -> None:
        """Check that new requests may use an adapter.

        :raises InvalidArgument: there is no such adapter.
        """
        with self._lock:
            if name not in self._served:
                raise InvalidArgument(
                    f"adapter: {self._unknown(name)}",
                    reason="ADAPTER_NOT_FOUND",
                    metadata={"field": "adapter"},
                )

    def _find(self, name: str) -> LoadedAdapter:
        adapter = self._served.get(name) or self._held.get(name)
        if adapter is None:
            raise InvalidArgument(f"adapter: {self._unknown(name)}", reason="ADAPTER_NOT_FOUND")
        return adapter

    def _unknown(self, name: str) -> str:
        known = ", ".join(sorted(self._served)) or "none"
        return f"there is no adapter {name!r}; loaded: {known}"

    def _check_free(self, name: str) -> None:
        if name in self._served or name in self._held:
            state = (
                "loaded already; unload it first"
                if name in self._served
                else ("used by running requests still; wait for their end")
            )
            raise Conflict(
                f"adapter: {name} is {state}, or choose another name", reason="ADAPTER_EXISTS"
            )

    def _update(self, folder: Path, projection: Projection, weights: LoraWeights) -> WeightUpdate:
        target = target_of(projection, self._weights, self._decoder.shape)
        if target is None:
            raise adapter_error(
                folder, f"updates of {projection}, which is not a dense layer of this model"
            )
        shape = weights.up.shape[0], weights.down.shape[1]
        if shape != (target.outputs, target.inputs):
            raise InvalidArgument(
                f"adapter: {folder} belongs to another model: {projection} has "
                f"{target.outputs} outputs of {target.inputs} inputs here, and the adapter's "
                f"{shape[0]} of {shape[1]}"
            )
        return target.update(weights)
