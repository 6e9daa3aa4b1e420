"""A tiny random model on the engine, and adapters of it, for servers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from expertrag.llm.base import Generator


@dataclass(frozen=True)
class LoraBase:
    """The folder of a model, and those of its adapters by name."""

    folder: Path
    adapters: dict[str, Path]

    def generator(self, *loaded: str) -> Generator:
        """Load the model, with some of the adapters."""
        from expertrag.llm import load_generator

        made = load_generator(str(self.folder), dtype="float32")
        for name in loaded:
            made.adapters.load(name, self.adapters[name])
        return made


@pytest.fixture(scope="session")
def lora_base(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> LoraBase:
    """A dense model of two layers, with the adapters legal and medical."""
    from lora_folders import write_base, write_lora
    from short_tokenizer import write_short_tokenizer

    root = tmp_path_factory.mktemp("lora")
    words = write_short_tokenizer(smollm_path, root / "words", 2000)
    model: Any = write_base(root / "base", words)
    return LoraBase(
        root / "base",
        {
            "legal": write_lora(root / "legal", model),
            "medical": write_lora(root / "medical", model, ("q_proj", "v_proj"), rank=8, seed=1),
        },
    )
