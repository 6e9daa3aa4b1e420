"""The contrastive decoding of ``expertrag ask`` and ``chat``, from the section ``lab``."""

from __future__ import annotations

import click

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.cli.options import list_typed_settings
from expertrag.config import LabConfig


def contrast_of(lab: LabConfig) -> Contrast | None:
    """Return the contrast of the requests; None without one.

    :raises click.UsageError: a setting of the command line has no effect without another one.
    """
    typed = list_typed_settings()
    if not lab.contrast and "lab.beta" in typed:
        raise click.UsageError("lab.beta needs lab.contrast; set both or neither")
    if lab.contrast != WeakSide.ROUTING and "lab.weak_routing" in typed:
        raise click.UsageError("lab.weak_routing needs lab.contrast=routing; set both or neither")
    if not lab.contrast:
        return None
    return Contrast(WeakSide(lab.contrast), lab.beta, routing=lab.weak_routing)
