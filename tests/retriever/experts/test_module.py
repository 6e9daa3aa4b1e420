"""Experts in encoders of every kind: they start as the base, serve their texts, save and load."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoder_fixtures import KINDS, Encoders
from file_helper import change_json
from sentence_transformers import SentenceTransformer

from expertrag_retriever.encoder import load_embedder
from expertrag_retriever.errors import EmbedderError
from expertrag_retriever.experts.module import ExpertTransformer, with_experts
from expertrag_retriever.experts.settings import GENERAL, ExpertForm, ExpertSettings
from expertrag_retriever.experts.surgery import expert_layers

TEXTS = [
    "The tenant shall give notice of three months.",
    "Aspirin lowers the risk of a stroke.",
    "short",
    "A longer text about nothing in particular, so that the batch has to be padded. " * 3,
]
DOMAINS = ("legal", "biomedicine")
FORMS = tuple(ExpertForm)


def _teach(module: ExpertTransformer) -> None:
    """Make experts differ from the base and from each other."""
    torch.manual_seed(1)
    for _, layer in expert_layers(module.model):
        layer.second.data += 0.3 * torch.randn_like(layer.second)


def _taught(model: SentenceTransformer, form: ExpertForm) -> SentenceTransformer:
    """Give a model such experts."""
    _teach(with_experts(model, ExpertSettings(DOMAINS, form, rank=4)))
    return model


def _encode(model: SentenceTransformer, **kwargs: Any) -> np.ndarray[Any, Any]:
    return np.asarray(model.encode(TEXTS, **kwargs))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_experts_start_as_the_base_and_serve_their_own_texts(
    encoder: Encoders, kind: str, form: ExpertForm
) -> None:
    model = encoder(kind)
    base = _encode(model)
    module = with_experts(model, ExpertSettings(DOMAINS, form, rank=4))
    assert np.array_equal(_encode(model), base)
    assert np.allclose(_encode(model, domain="legal"), base, atol=1e-6)
    _teach(module)
    alone = [_encode(model, domain=domain) for domain in (*DOMAINS, GENERAL)]
    assert np.array_equal(alone[2], base)
    assert np.array_equal(_encode(model, domain="a domain that nobody trained"), base)
    assert not np.allclose(alone[0], base, atol=1e-2)
    features = model.preprocess(TEXTS)
    features["expert_index"] = torch.tensor([1, 0, 2, 0])
    with torch.inference_mode():
        mixed = model(features)["sentence_embedding"].numpy()
    for row, expert in enumerate([1, 0, 2, 0]):
        assert np.allclose(mixed[row], alone[expert][row], atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_through_sentence_transformers(
    encoder: Encoders, kind: str, form: ExpertForm, tmp_path: Path
) -> None:
    model = encoder(kind)
    base = _encode(model)
    _taught(model, form)
    for _, layer in expert_layers(model):  # as they are stored
        layer.first.data = layer.first.data.bfloat16().float()
        layer.second.data = layer.second.data.bfloat16().float()
    expected = _encode(model, domain="legal")
    model.save(str(tmp_path))
    again = SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=True)
    assert np.allclose(_encode(again, domain="legal"), expected, atol=1e-6)
    assert np.array_equal(_encode(again, domain=GENERAL), base)
    plain = SentenceTransformer(  # the base is there as it was, for those without this package
        modules=[type(again[0]).__mro__[1](str(tmp_path), max_seq_length=64), again[1]],
        device="cpu",
    )
    assert np.array_equal(_encode(plain), base)


def test_only_experts_are_trainable(encoder: Encoders) -> None:
    model = encoder("bert")
    module = with_experts(model, ExpertSettings(DOMAINS, rank=4))
    learning = [name for name, value in module.named_parameters() if value.requires_grad]
    assert learning and all(name.endswith((".first", ".second")) for name in learning)
    assert module.first_layer == 2
    assert {name.split(".layer.")[1][0] for name in learning} == {"2", "3"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"domains": ()}, "no domain"),
        ({"domains": ("a", "a")}, "must differ"),
        ({"domains": (GENERAL,)}, "must differ"),
        ({"domains": ("a",), "rank": 0}, "rank"),
    ],
)
def test_rejects_invalid_settings(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExpertSettings(**wrong)


def test_rejects_a_first_layer_out_of_range(encoder: Encoders) -> None:
    with pytest.raises(EmbedderError, match="layer 4 of 4"):
        with_experts(encoder("bert"), ExpertSettings(DOMAINS, first_layer=4))


def test_rejects_experts_of_another_base_and_damaged_ones(
    encoder: Encoders, tmp_path: Path
) -> None:
    _taught(encoder("bert"), ExpertForm.LOW_RANK).save(str(tmp_path))
    about, weights = tmp_path / "experts.json", tmp_path / "experts.safetensors"
    whole = about.read_text()
    change_json(about, settings={**json.loads(whole)["settings"], "first_layer": 1})
    with pytest.raises(EmbedderError, match="another base model"):
        SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=True)
    about.write_text(whole)
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(EmbedderError, match="damaged"):
        SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=True)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("linked", [False, True])
def test_custom_code_in_a_folder_is_not_run(
    encoder: Encoders, tmp_path: Path, file: str, linked: bool
) -> None:
    folder, ran = tmp_path / "model", tmp_path / "ran"
    _taught(encoder("bert"), ExpertForm.LOW_RANK).save(str(folder))
    load_embedder(str(folder))  # as it is, it loads
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nclass Evil: pass\n")
    names = ("AutoConfig", "AutoModel", "AutoTokenizer")
    change_json(folder / file, model_type="evil", auto_map=dict.fromkeys(names, "evil.Evil"))
    if linked:  # the folder's own files name no code
        folder = tmp_path / "outer"
        folder.mkdir()
        (folder / "evil.py").write_text((tmp_path / "model" / "evil.py").read_text())
        (folder / "0_Transformer").symlink_to(tmp_path / "model")
        plain = {"idx": 0, "name": "0", "path": "0_Transformer"}
        plain["type"] = "sentence_transformers.models.Transformer"
        ours = {"idx": 1, "name": "1", "path": "", "type": f"{ExpertTransformer.__module__}."}
        ours["type"] += ExpertTransformer.__name__
        (folder / "modules.json").write_text(json.dumps([plain, ours]))
    with contextlib.suppress(EmbedderError):
        load_embedder(str(folder))
    assert not ran.exists()
