"""Opens the models that a gate's signals come from, and checks that they are the right ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.assemble import open_embedder, open_generator
from expertrag.errors import Conflict
from expertrag.gating.signals import SignalSource
from expertrag_retriever.gate.signals import SignalGroup

if TYPE_CHECKING:
    from expertrag.config import ModelConfig
    from expertrag_retriever.gate.bundle import GateBundle


def open_source(groups: Sequence[SignalGroup], model: ModelConfig, work: Path) -> SignalSource:
    """Load what measures the signals of ``groups``.

    :raises ExpertRAGError: if a model cannot be used, with the cure in the message.
    """
    read = set(groups) & {SignalGroup.DRAFT, SignalGroup.PREFILL}
    return SignalSource(
        groups=tuple(groups),
        embedder=open_embedder(model, None),
        generator=open_generator(model) if read else None,
        work=work,
    )


def source_of(bundle: GateBundle, model: ModelConfig, work: Path) -> SignalSource:
    """Load the models that a gate was fitted with.

    :raises Conflict: these are others by now.
    """
    needs = bundle.needs
    named = replace(
        model,
        embedder=needs.embedder or model.embedder,
        generator=needs.generator or model.generator,
    )
    groups = tuple(dict.fromkeys(block.group for block in bundle.predictor.design.blocks))
    source = open_source(groups, named, work)
    check_models(
        bundle,
        embedder=source.needs.embedder_fingerprint,
        generator=source.needs.generator_fingerprint,
    )
    return source


def check_models(bundle: GateBundle, *, embedder: str | None, generator: str | None) -> None:
    """Check the hashes of the models at hand against those that a gate was fitted with.

    :raises Conflict: another model, whose signals mean something else.
    """
    needs = bundle.needs
    for kind, name, wanted, found in (
        ("embedder", needs.embedder, needs.embedder_fingerprint, embedder),
        ("language model", needs.generator, needs.generator_fingerprint, generator),
    ):
        if wanted is not None and wanted != found:
            raise Conflict(
                f"the gate {bundle.version} was fitted with another {kind} ({name}, {wanted[:8]}; "
                f"here it is {(found or 'none')[:8]}): fit it again with 'expertrag gate fit', or "
                f"use that {kind}",
                reason="GATE_MISMATCH",
                metadata={"gate": bundle.version},
            )
