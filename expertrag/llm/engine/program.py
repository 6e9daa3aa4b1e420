"""The steps of a lowered model as data, so that a packed model runs without transformers.

A recording decoder records the steps that :mod:`expertrag.llm.engine.lowering` plans;
:meth:`Program.plan` plans the same steps on a decoder of packed weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch

from expertrag.llm.adapters.served import DenseLayer, ServedAdapters, of_a_mixture
from expertrag.llm.engine.lowering import Lowered, Unsupported
from expertrag.llm.engine.planning import STEPS, Plan
from expertrag.llm.engine.stored_calls import flatten
from expertrag_kernels import Format, Packed, PackedMatrix
from expertrag_kernels.cpu_experts import ISAS
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.steps import PAGE_TOKENS, CacheShape, SlotView, Steps

Step = tuple[str, list[Any], dict[str, Any]]
"""Name, arguments and options of a call to a decoder."""


class Recorder:
    """A decoder that records the steps that are planned on it."""

    def __init__(self, decoder: Steps[Any, Any]) -> None:
        self._decoder = decoder
        self.steps: list[Step] = []

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._decoder, name)
        if name not in STEPS:
            return member

        def note(*arguments: Any, **options: Any) -> Any:
            self.steps.append((name, *flatten(name, arguments, options)))
            return member(*arguments, **options)

        return note


def recording_decoder(shape: CacheShape, pages: int) -> Steps[Any, Any]:
    """Make a decoder that :meth:`Program.of` can read the steps from.

    :raises Unsupported: there are no compiled kernels.
    """
    if not ISAS:
        raise Unsupported("there are no compiled kernels")
    return cast("Steps[Any, Any]", Recorder(Decoder(shape, pages)))


@dataclass(frozen=True, slots=True)
class Program:
    """The steps planned on a decoder, and the names, formats and sizes of its weights.

    ``scaling``: factor of cosines and sines (YaRN). ``polar``: they are computed as complex
    numbers. The rest is as in ``Lowered``.
    """

    shape: CacheShape
    steps: Sequence[Step]
    weights: Mapping[str, list[Any]]
    scaling: float
    polar: bool
    routers: tuple[int, ...]
    middle: int
    upper: int

    @classmethod
    def of(cls, lowered: Lowered, scaling: float, *, polar: bool) -> Program:
        """Read the program of a model that was lowered onto a recording decoder."""
        decoder = cast("Recorder", lowered.decoder)
        names = {id(weight): name for name, weight in lowered.weights.items()}

        def plain(value: Any) -> Any:
            if isinstance(value, SlotView):
                return {"view": list(value)}
            return {"weight": names[id(value)]} if id(value) in names else value

        steps: list[Step] = []
        for name, arguments, options in decoder.steps:
            if name == "rope":  # cosines and sines are computed from the frequencies
                arguments = arguments[:2]
            options = {key: plain(value) for key, value in options.items()}
            steps.append((name, [plain(value) for value in arguments], options))
        return cls(
            decoder.shape,
            steps,
            {name: _about(weight) for name, weight in lowered.weights.items()},
            scaling,
            polar,
            lowered.routers,
            lowered.middle,
            lowered.upper,
        )

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Program:
        """Read the output of :meth:`as_json`."""
        steps = [(str(name), list(values), dict(more)) for name, values, more in body["steps"]]
        # in folders of earlier versions, interleaved angles are polar and no others
        turned = (more.get("interleaved") for name, _, more in steps if name == "rope")
        return cls(
            CacheShape(**{**body["shape"], "format": Format(body["shape"]["format"])}),
            steps,
            body["weights"],
            float(body["scaling"]),
            bool(body.get("polar", any(turned))),
            tuple(body["routers"]),
            int(body["middle"]),
            int(body["upper"]),
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything in JSON types."""
        return asdict(self)

    def plan(
        self,
        packed: Mapping[str, Packed],
        *,
        cache_bytes: int,
        context_tokens: int,
        adapters: ServedAdapters | None = None,
    ) -> Lowered:
        """Plan the steps on a decoder of packed weights.

        :param adapters: adapters of a dense model.
        :raises InvalidArgument: ``adapters`` are given for a mixture.
        :raises Unsupported: the cache is too small for a page.
        :raises ValueError: weights are missing or differ, or the steps do not fit together.
        """
        if adapters and any(name.endswith(".experts") for name in self.weights):
            raise of_a_mixture()
        for name, about in self.weights.items():
            if name not in packed:
                raise ValueError(f"{name} is missing")
            if (actual := _about(packed[name])) != about:
                raise ValueError(f"{name} is {tuple(actual)}, expected {tuple(about)}")
        pages = self.shape.most_pages(cache_bytes, context_tokens)
        if not pages:
            raise Unsupported(
                f"a cache of {cache_bytes >> 20} MiB is too small for one page of 64 tokens"
            )
        decoder = Decoder(self.shape, pages)
        longest = context_tokens
        if not all(options.get("window") for name, _, options in self.steps if name == "attend"):
            longest = min(longest, pages * PAGE_TOKENS)  # of the pages of a sequence, all are read
        plan = Plan(decoder, packed, self.scaling, self.polar, longest)
        for name, arguments, options in self.steps:
            if adapters and name == "mix":
                layer = int(arguments[2]["weight"].split(".")[1])  # layers.N.dense
                source, to, weights = plan.check(name, arguments, options)[0]
                adapters.plan(decoder, DenseLayer(layer, source, to, weights, weights.format))
            else:
                plan.add(name, arguments, options)
        kept = self.routers, self.middle, self.upper
        # a shared expert with a gate is routed to alone
        routes = [(given[2], more) for name, given, more in self.steps if name == "route"]
        top_k = max((chosen - more.get("light", 0) for chosen, more in routes), default=0)
        updates = adapters.updates(decoder, packed) if adapters else ()
        nulls = max((more.get("nulls", 0) for _, _, more in self.steps), default=0)
        light = max((more.get("light", 0) for _, more in routes), default=0)
        return Lowered(decoder, packed, *kept, top_k, adapters, updates, nulls, light)


def _about(weight: Packed) -> list[Any]:
    """Describe a weight: its format and its sizes."""
    if isinstance(weight, torch.Tensor):
        return list(weight.shape)
    if isinstance(weight, PackedMatrix):
        return [str(weight.format), weight.outputs, weight.inputs]
    sizes = weight.num_experts, weight.hidden_size, weight.inner_size
    return [str(weight.format), *sizes, str(weight.activation), *(["biased"] * weight.biased)]
