"""The adapters that may answer for a task: folders of adapters, and the experts of a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from expertrag.api.errors import InvalidArgument, ServerError
from expertrag.llm.adapters.bundle import load_bundle
from expertrag.llm.adapters.peft_folder import PeftAdapter, read_peft
from expertrag.llm.adapters.serving import low_rank_of
from expertrag.llm.base import BASE, SHARED
from expertrag.llm.load.loading import ModelFiles
from expertrag_lab.surgery.candidates.updates import Updates, sum_of


@dataclass(frozen=True, slots=True, eq=False)
class TaskCandidate:
    """An adapter of a model, or an expert of its reader.

    :param folder: of an adapter; None for an expert.
    :param digest: hash of its weights, and of all that it is served with.
    :param updates: of the base's weights.
    """

    name: str
    folder: Path | None
    digest: str
    updates: Updates

    @property
    def adapter(self) -> str:
        """Name of the adapter; empty for an expert."""
        return self.name if self.folder else ""

    @property
    def domain(self) -> str:
        """Domain of the expert; empty for an adapter."""
        return "" if self.folder else self.name


def candidates_of(files: ModelFiles, adapters: Mapping[str, Path]) -> tuple[TaskCandidate, ...]:
    """Read adapters, and the experts of a reader that is attached to the model.

    Parallel adapters of a reader are left out: they update no weights that could be compared.

    :param adapters: folders in peft's layout, by name.
    :raises InvalidArgument: there is no candidate, or a folder cannot be used.
    :raises NotFound: a folder has no adapter.
    :raises ServerError: a folder or the reader is damaged.
    """
    candidates = [*_experts(files)]
    if taken := {item.name for item in candidates} & set(adapters):
        raise InvalidArgument(
            f"adapter: {files.name} has experts called {', '.join(sorted(taken))}; give the "
            "adapters other names"
        )
    for name, folder in adapters.items():
        read = _adapter(folder)
        candidates.append(TaskCandidate(name, folder, read.digest, read.weights))
    if not candidates:
        raise InvalidArgument(
            f"adapter: {files.name} has no experts of low-rank updates to choose from: add "
            "--adapter NAME=FOLDER for each adapter"
        )
    return tuple(candidates)


def _adapter(folder: Path) -> PeftAdapter:
    """Read an adapter; a damaged one is not the caller's mistake, as it is for a server."""
    try:
        return read_peft(folder)
    except InvalidArgument as error:
        if error.reason == "ADAPTER_UNSUPPORTED":
            raise
        raise ServerError(error.message, reason="MODEL_DAMAGED") from error


def _experts(files: ModelFiles) -> list[TaskCandidate]:
    if files.reader is None:
        return []
    bundle = load_bundle(files.reader)
    if bundle.settings.parallel:
        return []
    reader = low_rank_of(bundle)
    return [
        TaskCandidate(
            name,
            None,
            f"{name} of {reader.digest}",
            sum_of([reader.weights[part] for part in reader.parts(name)]),
        )
        for name in reader.names
        if name not in (SHARED, BASE)
    ]
