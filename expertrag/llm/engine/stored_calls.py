"""The calls to a decoder as files have them: every argument is a view, a weight or a number.

A router and the views of an attention are one argument of a call, and several in a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from expertrag_kernels.router import Router
from expertrag_kernels.steps import AttentionViews

Call = tuple[list[Any], dict[str, Any]]
"""Arguments and options."""


def flatten(name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Call:
    """Return a call as a file has it."""
    if name == "route":
        logits, router = arguments
        return [logits, router.experts, router.top_k], _options_of(router)
    if name == "attend":
        (views,) = arguments
        shared = {} if views.shared_key is None else {"shared_key": views.shared_key}
        return list(views[:4]), {**options, **shared}
    return list(arguments), dict(options)


def gather(name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Call:
    """Return a call of a file as a decoder takes it.

    :raises TypeError: the call has too few or too many arguments.
    :raises ValueError: the same.
    """
    if name == "route":
        logits, *sizes = arguments
        return [logits, Router(*sizes, **options)], {}
    if name == "attend":
        query, key, value, to = arguments
        others = {name: given for name, given in options.items() if name != "shared_key"}
        return [AttentionViews(query, key, value, to, options.get("shared_key"))], others
    return list(arguments), dict(options)


def _options_of(router: Router) -> dict[str, Any]:
    if router.sigmoid:
        options: dict[str, Any] = {"sigmoid": True}
    elif router.is_mixed:
        options = {"mixer_margin": router.mixer_margin}
    else:
        options = {
            "normalise": router.normalise,
            "groups": router.groups,
            "top_groups": router.top_groups,
            "scale": router.scale,
        }
    if router.correction is not None:
        options["correction"] = router.correction
    if router.nulls:
        options["nulls"] = router.nulls
    if router.light:
        options["light"] = router.light
    return options
