"""The flags of ``expertrag ask`` for contrastive decoding."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.cli.options import flag, list_typed

_DEFAULTS = Contrast(WeakSide.ROUTING)

_OPTIONS = (
    flag(
        "weak",
        "--contrast",
        type=click.Choice([str(side) for side in WeakSide]),
        help="Contrastive decoding: draw tokens from (1 + beta) logits - beta logits of a weak "
        "side, which is the model with fewer experts a token (routing), without the passages "
        "(no_passages), or without its domain experts (base).",
    ),
    flag(
        "--beta",
        type=float,
        default=_DEFAULTS.beta,
        help="Strength of the contrast, 0 to 4.",
    ),
    flag(
        "--weak-routing",
        metavar="POLICY",
        default=_DEFAULTS.routing,
        help="Routing of the weak side, for --contrast routing.",
    ),
)


def contrasting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to a command, and pass it their ``contrast``; None without --contrast."""

    @functools.wraps(command)
    def run(weak: str | None, beta: float, weak_routing: str, **rest: Any) -> Any:
        if weak is None and list_typed({"beta": "--beta"}):
            raise click.UsageError("--beta needs --contrast; add it, or leave --beta out")
        if weak != WeakSide.ROUTING and list_typed({"weak_routing": "--weak-routing"}):
            raise click.UsageError("--weak-routing needs --contrast routing; use both or neither")
        contrast = weak and Contrast(WeakSide(weak), beta, routing=weak_routing)
        return command(contrast=contrast or None, **rest)

    wrapped: Callable[..., Any] = run
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
