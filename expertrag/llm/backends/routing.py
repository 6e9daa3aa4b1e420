"""The routing and the contrast of a request, checked against what a model has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from expertrag.api.contrast import WeakSide
from expertrag.api.types import Sampling
from expertrag.api.validation import invalid, routing_of
from expertrag.llm.base import BASE
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.engine.native_session import WeakPrompt
from expertrag.llm.network import Network
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag_kernels import Routing
from expertrag_kernels.routing import AS_THE_MODEL


def check_routing(name: str, network: Network, routing: Routing, field: str = "routing") -> None:
    """Check that a model can follow a routing policy.

    :raises InvalidArgument: no router of it chooses experts by token, or it has fewer null experts
        than the policy names.
    """
    if routing == AS_THE_MODEL:
        return
    native = by_token(field, name, network)
    if routing.null is None:
        return
    if not native.null_experts:
        raise invalid(field, f"null:N needs a mixture with null experts: {name} has none")
    if routing.null > native.null_experts:
        raise invalid(
            field, f"null:{routing.null} is too many: {name} has {native.null_experts} null experts"
        )


def check_contrast(name: str, network: Network, sampling: Sampling) -> None:
    """Check that a model can follow the contrast of a request, if there is one.

    :raises InvalidArgument: it has no such weak side.
    """
    contrast = sampling.contrast
    if contrast is None:
        return
    _on_our_engine("contrast", name, network)
    if contrast.weak is WeakSide.ROUTING:
        check_routing(name, network, routing_of("contrast.routing", contrast.routing), "contrast")
    if contrast.weak is WeakSide.BASE and BASE not in network.limits.experts:
        raise invalid("contrast", f"base needs a reader with experts, and {name} has none")


def by_token(field: str, name: str, network: Network) -> NativeNetwork:
    """Return the network of a mixture whose routers choose experts by token.

    :raises InvalidArgument: the model is not such a mixture, or does not run on our engine.
    """
    native = _on_our_engine(field, name, network)
    if not native.routes_tokens:
        raise invalid(
            field, f"needs a mixture whose routers choose experts by token: {name} is not"
        )
    return native


def _on_our_engine(field: str, name: str, network: Network) -> NativeNetwork:
    if not isinstance(network, NativeNetwork):
        raise invalid(field, f"needs a model on our engine, and {name} runs in transformers")
    return network


def weak_prompt(
    sampling: Sampling,
    network: NativeNetwork,
    policy: SequencePolicy,
    without_passages: Sequence[int] | None,
) -> WeakPrompt | None:
    """Return the weak side of a request; None if there is no contrast, or nothing to contrast.

    :param policy: of the strong side.
    :param without_passages: tokens of the prompt without its passages.
    """
    contrast = sampling.contrast
    if contrast is None:
        return None
    if contrast.weak is WeakSide.ROUTING:
        routing = routing_of("contrast.routing", contrast.routing)
        return WeakPrompt(replace(policy, routing=routing))
    if contrast.weak is WeakSide.NO_PASSAGES:
        return None if without_passages is None else WeakPrompt(policy, without_passages)
    base = network.limits.experts.index(BASE)
    return None if policy.expert == base else WeakPrompt(replace(policy, expert=base))


def refuse_on_a_server(sampling: Sampling) -> None:
    """Refuse what a model server has no interface for.

    :raises InvalidArgument: the request has a routing policy, or a contrast.
    """
    for field, given in (("routing", sampling.routing), ("contrast", sampling.contrast)):
        if given:
            raise invalid(field, "needs a model on our engine, not on a server; unset it")
