"""Open the models that a gate's signals come from, and check that they match the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.answer.assemble import open_generator
from expertrag.answer.served_gate import check_models
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.stores.embedders import open_embedder
from expertrag_lab.train.gate.signals import SignalSource
from expertrag_retriever.gate.signals import SignalGroup

if TYPE_CHECKING:
    from expertrag.config import LabConfig, ModelConfig
    from expertrag_retriever.gate.bundle import GateBundle


def open_source(
    groups: Sequence[SignalGroup],
    model: ModelConfig,
    work: Path,
    store: Path | None = None,
    *,
    lab: LabConfig | None = None,
) -> SignalSource:
    """Load the models that compute the signals of ``groups``.

    :param store: the store that the rows were recorded with, which names the embedder; None for
        the embedder that ``model`` names.
    :raises ExpertRAGError: a model cannot be used; the message says what to do.
    """
    read = set(groups) & {SignalGroup.DRAFT, SignalGroup.PREFILL}
    embedder = open_embedder(model, store)
    if SignalGroup.DOMAIN in groups and not embedder.experts:
        raise InvalidArgument(
            f"{embedder.name} has no embedding experts and cannot route to domains: pass a bundle "
            "with --embedder, or leave 'domain' out of --signals"
        )
    return SignalSource(
        groups=tuple(groups),
        embedder=embedder,
        generator=open_generator(model, lab=lab) if read else None,
        work=work,
    )


def source_of(
    bundle: GateBundle, model: ModelConfig, work: Path, *, lab: LabConfig | None = None
) -> SignalSource:
    """Load the models that a gate was fitted with.

    :raises Conflict: they have changed since.
    """
    needs = bundle.needs
    named = replace(
        model,
        embedder=needs.embedder or model.embedder,
        generator=needs.generator or model.generator,
    )
    source = open_source(bundle.groups, named, work, lab=lab)
    check_models(
        bundle,
        embedder=source.needs.embedder_fingerprint,
        generator=source.needs.generator_fingerprint,
    )
    if needs.router != source.needs.router:
        raise Conflict(
            f"the gate {bundle.version} was fitted with a different domain router than the one of "
            f"{source.embedder.name}: fit it again with 'expertrag train gate'",
            reason="GATE_MISMATCH",
            metadata={"gate": bundle.version},
        )
    return source
