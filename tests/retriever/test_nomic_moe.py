"""NomicBERT with mixture-of-experts layers: the public formulas, on tiny random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from expertrag_retriever.encoder import load_embedder, load_model
from expertrag_retriever.errors import EmbedderError
from expertrag_retriever.experts.module import with_experts
from expertrag_retriever.experts.settings import GENERAL, ExpertForm, ExpertSettings
from expertrag_retriever.experts.surgery import expert_layers
from expertrag_retriever.nomic_moe import NomicMoeConfig, NomicMoeModel

H, F_, E, LAYERS, HEADS = 32, 48, 4, 4, 2
CONFIG = {  # the keys of the hub's config.json
    "model_type": "nomic_bert",
    "architectures": ["NomicBertModel"],
    "activation_function": "gelu",
    "causal": False,
    "expert_choice_router": False,
    "layer_norm_epsilon": 1e-05,
    "mlp_fc1_bias": True,
    "mlp_fc2_bias": True,
    "moe_every_n_layers": 2,
    "moe_normalize_expert_weights": False,
    "moe_top_k": 2,
    "n_embd": H,
    "n_head": HEADS,
    "n_inner": F_,
    "n_layer": LAYERS,
    "n_positions": 160,
    "num_experts": E,
    "num_shared_experts": 0,
    "pad_token_id": 0,
    "prenorm": False,
    "qkv_proj_bias": True,
    "rotary_emb_base": 10000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "type_vocab_size": 1,
    "use_rms_norm": False,
    "vocab_size": 30522,
}
TEXTS = ["The tenant shall give notice of three months.", "Aspirin.", "one two three " * 9]

State = dict[str, torch.Tensor]


def _with_bias(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _state() -> State:
    """Random weights under the keys of the hub's file."""
    shapes = {
        "embeddings.word_embeddings.weight": (30522, H),
        "embeddings.token_type_embeddings.weight": (1, H),
        **_with_bias("emb_ln", H),
    }
    for number in range(LAYERS):
        layer = {**_with_bias("attn.Wqkv", 3 * H, H), **_with_bias("attn.out_proj", H, H)}
        layer |= {**_with_bias("norm1", H), **_with_bias("norm2", H)}
        if number % 2 == 1:
            layer |= {
                "mlp.router.layer.weight": (E, H),
                "mlp.experts.mlp.w1": (E * F_, H),
                "mlp.experts.mlp.w2": (E * F_, H),
                "mlp.experts.bias": (H,),
            }
        else:
            layer |= {**_with_bias("mlp.fc1", F_, H), **_with_bias("mlp.fc2", H, F_)}
        shapes |= {f"encoder.layers.{number}.{name}": shape for name, shape in layer.items()}
    generator = torch.Generator().manual_seed(0)
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def folder(minilm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in the hub's layout: transformer and mean pooling."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("nomic_moe")
    AutoTokenizer.from_pretrained(minilm_path).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    save_file(_state(), folder / "model.safetensors", {"format": "pt"})
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    pooling = {"word_embedding_dimension": H, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    kinds = ("Transformer", ""), ("Pooling", "1_Pooling")
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def _by_hand(ids: list[int], state: State) -> torch.Tensor:
    """Hidden states (L, H) of one text, token by token and expert by expert."""
    x = state["embeddings.word_embeddings.weight"][ids]
    x = x + state["embeddings.token_type_embeddings.weight"][0]
    x = F.layer_norm(x, (H,), state["emb_ln.weight"], state["emb_ln.bias"], 1e-5)
    for number in range(LAYERS):
        own = {
            name.removeprefix(f"encoder.layers.{number}."): value
            for name, value in state.items()
            if name.startswith(f"encoder.layers.{number}.")
        }
        x = x + _attention(x, own)
        x = F.layer_norm(x, (H,), own["norm1.weight"], own["norm1.bias"], 1e-5)
        x = x + (_mixture(x, own) if number % 2 == 1 else _dense(x, own))
        x = F.layer_norm(x, (H,), own["norm2.weight"], own["norm2.bias"], 1e-5)
    return x


def _attention(x: torch.Tensor, own: State) -> torch.Tensor:
    size = H // HEADS
    qkv = x @ own["attn.Wqkv.weight"].T + own["attn.Wqkv.bias"]
    mixed = []
    for head in range(HEADS):
        q, k, v = (qkv[:, part * H + head * size :][:, :size] for part in range(3))
        scores = _rotated(q) @ _rotated(k).T / size**0.5
        mixed.append(scores.softmax(dim=1) @ v)
    return torch.cat(mixed, 1) @ own["attn.out_proj.weight"].T + own["attn.out_proj.bias"]


def _rotated(x: torch.Tensor) -> torch.Tensor:
    """Turn the pair (i, i + half) of place p by p * 10000^(-2i / size)."""
    half = x.shape[1] // 2
    angle = torch.arange(len(x))[:, None] * 10000.0 ** (-torch.arange(half) / half)
    a, b = x[:, :half], x[:, half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], 1)


def _dense(x: torch.Tensor, own: State) -> torch.Tensor:
    inner = F.gelu(x @ own["mlp.fc1.weight"].T + own["mlp.fc1.bias"])
    return inner @ own["mlp.fc2.weight"].T + own["mlp.fc2.bias"]


def _mixture(x: torch.Tensor, own: State) -> torch.Tensor:
    w1 = own["mlp.experts.mlp.w1"].view(E, F_, H)
    w2 = own["mlp.experts.mlp.w2"].view(E, F_, H)
    rows = []
    for token in x:
        shares = (own["mlp.router.layer.weight"] @ token).softmax(dim=0)
        best = shares.argsort(descending=True)[:2].tolist()
        rows.append(sum(shares[e] * (F.gelu(w1[e] @ token) @ w2[e]) for e in best))
    return torch.stack(rows) + own["mlp.experts.bias"]


def test_loads_with_its_experts_and_matches_the_formulas(folder: Path) -> None:
    whole = load_model(str(folder), "cpu")
    model: Any = whole[0].model
    assert type(model) is NomicMoeModel
    assert set(model.state_dict()) == set(_state())
    ids = whole.tokenizer(TEXTS[0])["input_ids"]
    with torch.inference_mode():
        hidden = model(torch.tensor([ids]), torch.ones(1, len(ids)))["last_hidden_state"][0]
    assert torch.allclose(hidden, _by_hand(ids, _state()), atol=1e-4)


def test_padding_does_not_change_a_text(folder: Path) -> None:
    embedder = load_embedder(str(folder))
    embedder.model[0].to(torch.float32)
    together = np.asarray(embedder.model.encode(TEXTS))
    for row, text in enumerate(TEXTS):
        assert np.allclose(together[row], embedder.model.encode([text])[0], atol=1e-5)
    assert embedder.encode_documents(TEXTS).shape == (3, H)


@pytest.mark.parametrize("form", list(ExpertForm))
def test_embedding_experts_in_its_dense_layers(
    folder: Path, form: ExpertForm, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    model = load_embedder(str(folder)).model
    model[0].to(torch.float32)
    base = np.asarray(model.encode(TEXTS))
    module = with_experts(model, ExpertSettings(("legal", "health"), form, rank=4))
    torch.manual_seed(0)
    for name, layer in expert_layers(module.model):
        assert name.startswith("encoder.layers.2.mlp.fc")  # layers 1 and 3 are mixtures already
        layer.second.data = (layer.second + 0.3 * torch.randn_like(layer.second)).bfloat16().float()
        layer.first.data = layer.first.bfloat16().float()  # as they are stored
    assert len(list(expert_layers(module.model))) == 2
    legal = np.asarray(model.encode(TEXTS, domain="legal"))
    assert not np.allclose(legal, base, atol=1e-3)
    assert np.array_equal(np.asarray(model.encode(TEXTS, domain=GENERAL)), base)
    model.save(str(tmp_path))
    assert set(load_file(tmp_path / "model.safetensors")) == set(_state())  # the hub's names
    again = SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=True)
    assert np.allclose(np.asarray(again.encode(TEXTS, domain="legal")), legal, atol=1e-5)
    assert np.allclose(np.asarray(again.encode(TEXTS, domain=GENERAL)), base, atol=1e-5)


def test_rejects_experts_without_a_dense_layer(folder: Path) -> None:
    with pytest.raises(EmbedderError, match="no dense layer follows; choose a lower first_layer"):
        with_experts(load_embedder(str(folder)).model, ExpertSettings(("a",), first_layer=3))


def test_other_nomic_models_use_the_class_of_transformers(encoder_folders: dict[str, Path]) -> None:
    model: Any = load_embedder(str(encoder_folders["nomic_bert"])).model[0]
    assert type(model.model).__module__.startswith("transformers.models.nomic_bert")


@pytest.mark.parametrize(
    ("key", "value"),
    [("expert_choice_router", True), ("num_shared_experts", 1), ("activation_function", "swiglu")],
)
def test_rejects_an_unsupported_variant(key: str, value: object) -> None:
    with pytest.raises(EmbedderError, match=f"must have {key} .*, not {value!r}"):
        NomicMoeConfig.from_dict({**CONFIG, key: value})
