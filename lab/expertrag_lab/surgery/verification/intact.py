"""Whether two models can be compared: their weights are finite, their tokenizers equal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expertrag.api.errors import InvalidArgument
from expertrag.llm.gguf_names import part_names
from expertrag.llm.load.loading import ModelFiles, damage_error, model_errors, model_files, quiet
from expertrag.llm.load.low_rank_file import LOW_RANK_FILE


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """The files of a model whose weights are numbers, its configuration and its tokenizer."""

    files: ModelFiles
    config: Any
    tokenizer: Any

    @property
    def size_bytes(self) -> int:
        """Bytes of its weights on disk."""
        return sum(path.stat().st_size for path in _weights(self.files))

    @property
    def has_products(self) -> bool:
        """Whether plain experts are on disk next to the low-rank ones that our engine runs."""
        files = self.files
        return not files.is_packed and (files.folder / LOW_RANK_FILE).is_file()


def check_model(name: str) -> CheckedModel:
    """Read a model's small files, and check that all of its weights are numbers.

    Packed and GGUF files are not read for that: the former have checksums.

    :raises NotFound: there is no such model.
    :raises ServerError: a weight is not a finite number, or a file cannot be read.
    """
    files = model_files(name)
    with model_errors(name), quiet():
        from expertrag.llm.load.source import ModelSource

        source = ModelSource(files)
        if not files.is_packed and not files.gguf:
            for path in _weights(files):
                if weight := _without_number(path):
                    raise damage_error(
                        name, f"weight {weight} of {path.name} has values that are NaN"
                    )
    return CheckedModel(files, source.config, source.tokenizer)


def check_same_tokenizers(before: CheckedModel, after: CheckedModel) -> None:
    """Check that two models read and write the same tokens.

    :raises InvalidArgument: their vocabularies or chat templates differ.
    """
    names = before.files.name, after.files.name
    words = [item.tokenizer.get_vocab() for item in (before, after)]
    if words[0] != words[1]:
        differing = set(words[0].items()) ^ set(words[1].items())
        raise InvalidArgument(
            f"the tokenizers of {names[0]} and {names[1]} differ in {len(differing):,} entries, so "
            "losses cannot be paired: surgery keeps the tokenizer; copy it from the model before"
        )
    sizes = [item.config.get_text_config().vocab_size for item in (before, after)]
    if sizes[0] != sizes[1]:
        raise InvalidArgument(
            f"{names[0]} has a vocabulary of {sizes[0]:,} tokens, {names[1]} of {sizes[1]:,}: "
            "surgery keeps it; name the model that was made from it"
        )
    if before.tokenizer.chat_template != after.tokenizer.chat_template:
        raise InvalidArgument(
            f"the chat templates of {names[0]} and {names[1]} differ, so their prompts do: copy "
            "chat_template.jinja and tokenizer_config.json from the model before"
        )


def _weights(files: ModelFiles) -> list[Path]:
    if files.gguf:
        return [files.folder / part for part in part_names(files.gguf)]
    packed = files.is_packed
    return [packed] if packed else sorted(files.folder.glob("*.safetensors"))


def _without_number(path: Path) -> str:
    """Return the name of the first weight with a value that is not finite; empty if none."""
    return next(_unusual(path), "")


def _unusual(path: Path) -> Iterator[str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - it is not a mapping
            tensor = file.get_tensor(name)
            if tensor.is_floating_point() and not bool(tensor.float().isfinite().all()):
                yield name
