"""A router and attention's views are one argument of a call, and several in a packed folder."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from expertrag.llm.engine.stored_calls import flatten, gather
from expertrag_kernels.router import Router
from expertrag_kernels.steps import AttentionViews, SlotView

_VIEW = SlotView(1)
_CORRECTION = torch.zeros(4)
_DEFAULTS = {"normalise": False, "groups": 1, "top_groups": 1, "scale": 1.0}


@pytest.mark.parametrize(
    ("router", "options"),
    [
        (Router(4, 2), _DEFAULTS),
        (Router(4, 1, sigmoid=True), {"sigmoid": True}),
        (Router(4, 2, mixer_margin=0.02), {"mixer_margin": 0.02}),
        (Router(4, 3, 1, 2), {**_DEFAULTS, "nulls": 1, "light": 2}),
        (
            Router(4, 2, normalise=True, groups=2, scale=2.5, correction=_CORRECTION),
            {"normalise": True, "groups": 2, "top_groups": 1, "scale": 2.5}
            | {"correction": _CORRECTION},
        ),
    ],
)
def test_a_router_is_stored_by_its_options(router: Router, options: dict[str, Any]) -> None:
    arguments, stored = flatten("route", [_VIEW, router], {})
    assert arguments == [_VIEW, 4, router.top_k]
    assert list(stored.items()) == list(options.items())
    (view, read), rest = gather("route", arguments, stored)
    assert (view, rest) == (_VIEW, {})
    assert all(getattr(read, name) is getattr(router, name) for name in Router.__slots__)


@pytest.mark.parametrize("shared", [None, SlotView(5, 3)])
def test_the_views_of_attention_are_stored_one_by_one(shared: SlotView | None) -> None:
    query, key, value, to = map(SlotView, range(4))
    views = AttentionViews(query, key, value, to, shared)
    options = {"layer": 0, "heads": 2, "scale": 0.5}
    arguments, stored = flatten("attend", [views], options)
    assert arguments == [query, key, value, to]
    assert stored == {**options, **({} if shared is None else {"shared_key": shared})}
    assert gather("attend", arguments, stored) == ([views], options)


def test_other_calls_are_stored_as_they_are() -> None:
    call = [_VIEW, 3], {"scale": 2.0}
    assert flatten("keep", *call) == gather("keep", *call) == call


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [("route", [_VIEW], {}), ("route", [_VIEW, 4, 2], {"colour": 1}), ("attend", [_VIEW], {})],
)
def test_calls_that_do_not_fit_are_refused(
    name: str, arguments: list[Any], options: dict[str, Any]
) -> None:
    with pytest.raises((TypeError, ValueError)):
        gather(name, arguments, options)
