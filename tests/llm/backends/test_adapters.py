"""A model's adapters by the name in a request: checkpoints, packed folders, GGUF files, readers."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf_files import write_gguf
from lora_fixtures import LoraBase
from lora_folders import merged, write_base
from model_fixtures import text_of
from transformers import AutoModelForCausalLM

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Passage, Sampling
from expertrag.llm import load_generator, prompt
from expertrag.llm.adapters.lora import LoraWeights, Projection
from expertrag.llm.adapters.low_rank import LowRankAdapters
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import BASE, SHARED, Generator, Message
from expertrag.llm.fingerprint import source_fingerprint
from expertrag.llm.load.packing import pack_folder
from expertrag_index.types import silent

_ASKED = [Message("user", "Where is the harbour, and what is it for? " * 12)]
_READ = prompt.open_book(
    "What is the harbour for?", [Passage("harbour", 0, "The harbour is for ships.", 0, 25, 1.0)]
)


@pytest.fixture(scope="module")
def base(lora_base: LoraBase) -> Path:
    return lora_base.folder


@pytest.fixture(scope="module")
def folders(lora_base: LoraBase) -> dict[str, Path]:
    return lora_base.adapters


@pytest.fixture(scope="module")
def model(base: Path) -> Any:
    load: Any = AutoModelForCausalLM.from_pretrained
    return load(base, dtype=torch.float32)


def _with(generator: Generator, folders: dict[str, Path]) -> Generator:
    for name, folder in folders.items():
        generator.adapters.load(name, folder)
    return generator


def _answer(generator: Generator, adapter: str = "", tokens: int = 12) -> str:
    return text_of(generator.begin(_ASKED, Sampling(tokens, adapter=adapter)))


def test_a_weak_side_has_the_adapter_too(base: Path, folders: dict[str, Path]) -> None:
    generator = _with(load_generator(str(base), dtype="float32"), folders)
    contrast = Contrast(WeakSide.NO_PASSAGES, beta=4.0, plausibility=0.001)
    sampling = Sampling(12, adapter="legal", contrast=contrast)
    same = text_of(generator.begin(_ASKED, sampling, without_passages=_ASKED))
    assert same == _answer(generator, "legal")  # both sides are equal
    other = text_of(generator.begin(_ASKED, sampling, without_passages=_READ))
    assert other != same


def test_texts_are_those_of_the_merged_model(
    model: Any, base: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    generator = _with(load_generator(str(base), dtype="float32"), folders)
    texts = [_answer(generator, name) for name in ("", "legal", "medical")]
    assert len(set(texts)) == 3
    for name, text in zip(("legal", "medical"), texts[1:], strict=True):
        out = tmp_path / name
        write_base(out, base)
        merged(model, folders[name]).save_pretrained(out)
        assert _answer(load_generator(str(out), dtype="float32")) == text


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "int4"])
@pytest.mark.parametrize("kind", ["checkpoint", "packed", "gguf"])
def test_bases_of_every_kind(
    kind: str, dtype: str, model: Any, base: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    name = str(base)
    if kind == "packed":
        pack_folder(name, dtype, tmp_path / "packed", silent)
        name = str(tmp_path / "packed")
    elif kind == "gguf":
        write_gguf(model, tmp_path / "base.gguf", tokenizer=base)
        name = str(tmp_path / "base.gguf")
    generator = load_generator(name, dtype=dtype)
    alone = _answer(generator)
    _with(generator, folders)
    texts: dict[str, str] = {}

    def answer(adapter: str) -> None:
        texts[adapter] = _answer(generator, adapter)

    threads = [threading.Thread(target=answer, args=(each,)) for each in ("", *folders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts[""] == alone
    assert len(set(texts.values())) == 3
    generator.adapters.unload("medical")
    assert _answer(generator, "legal") == texts["legal"]


def test_prefixes_are_shared_within_an_adapter_only(base: Path, folders: dict[str, Path]) -> None:
    generator = _with(load_generator(str(base), dtype="float32"), folders)
    generator.adapters.load("twin", folders["legal"])

    def cached(adapter: str) -> int:
        with closing(generator.begin(_ASKED, Sampling(2, adapter=adapter))) as session:
            list(session.deltas())
            return session.cached_tokens

    assert cached("") == cached("legal") == cached("medical") == 0
    assert cached("") == cached("legal") == cached("twin") > 64


def test_a_session_goes_on_when_its_adapter_is_unloaded(
    base: Path, folders: dict[str, Path]
) -> None:
    generator = _with(load_generator(str(base), dtype="float32"), folders)
    whole = _answer(generator, "legal", 40)
    with closing(generator.begin(_ASKED, Sampling(40, adapter="legal"))) as session:
        deltas = session.deltas()
        said = [next(deltas).text]
        generator.adapters.unload("legal")
        with pytest.raises(InvalidArgument, match="no adapter 'legal'; loaded: medical"):
            generator.begin(_ASKED, Sampling(2, adapter="legal"))
        said += [delta.text for delta in deltas]
    assert "".join(said) == whole


def test_a_request_keeps_its_adapter(base: Path, folders: dict[str, Path]) -> None:
    generator = _with(load_generator(str(base), dtype="float32"), folders)
    sampling = Sampling(4, adapter="legal")
    generator.check(sampling)
    with generator.using(sampling):
        generator.adapters.unload("legal")
        text_of(generator.begin(_ASKED, sampling))
    with pytest.raises(InvalidArgument, match="no adapter 'legal'"):
        generator.check(sampling)


def test_an_adapter_replaces_the_experts_of_a_reader(
    model: Any, base: Path, folders: dict[str, Path]
) -> None:
    draw = torch.Generator().manual_seed(5)

    def update(outputs: int, inputs: int) -> LoraWeights:
        return LoraWeights(
            *(torch.randn(*size, generator=draw) for size in ((2, inputs), (outputs, 2)))
        )

    hidden, inner = model.config.hidden_size, model.config.intermediate_size
    weights = {
        Projection(number, f"mlp.{part}_proj"): update(*sizes)
        for number in range(2)
        for part, sizes in zip(
            ("gate", "up", "down"), ((inner, hidden),) * 2 + ((hidden, inner),), strict=True
        )
    }
    about = (SHARED, BASE), source_fingerprint(base), "base", prompt.fingerprint(), "digest"
    reader = TransformersGenerator.load(
        str(base), dtype="float32", adapters=LowRankAdapters(*about, weights={SHARED: weights})
    )
    plain = load_generator(str(base), dtype="float32")
    for generator in (reader, plain):
        _with(generator, folders)

    def read(generator: Generator, adapter: str) -> tuple[str, float | None]:
        sampling = Sampling(8, adapter=adapter, frequency_penalty=0.0)
        with closing(generator.begin(_READ, sampling, from_passages=True)) as session:
            return "".join(session.stream()), session.doubt

    assert reader.reader and read(reader, "")[1] is not None
    assert read(reader, "")[0] != read(plain, "")[0]
    assert read(reader, "legal") == read(plain, "legal")
    assert read(reader, "legal")[1] is None


def test_models_that_take_no_adapters(base: Path) -> None:
    left = TransformersGenerator.load(str(base), dtype="float32", native=False)
    sampling = Sampling(2, adapter="legal")
    for refused in (
        lambda: left.adapters,
        lambda: left.check(sampling),
        lambda: left.begin(_ASKED, sampling),
        lambda: left.using(sampling),
    ):
        with pytest.raises(InvalidArgument, match="does not run on our engine, which adapters"):
            refused()
