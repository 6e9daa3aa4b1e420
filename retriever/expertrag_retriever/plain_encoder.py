"""Loads a sentence-transformers folder that holds only a BERT encoder and mean pooling.

Uses torch, safetensors and tokenizers alone, and offers the part of the ``SentenceTransformer``
interface that the embedder needs, under the same names. Every other kind of folder is left to
sentence-transformers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn

from expertrag_retriever.bert import Bert, BertConfig
from expertrag_retriever.experts.routed import WithExperts
from expertrag_retriever.experts.storage import load_experts

_KINDS = ("Transformer", "Pooling", "Normalize")  # the last is optional
_LIBRARY = "sentence_transformers."
_EXPERTS = "expertrag_retriever.experts.module.ExpertTransformer"
_WEIGHTS = "model.safetensors"
_TOKENIZERS = ("BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast")
"""Classes whose tokenizer is the file ``tokenizer.json`` as it stands."""


class PlainTransformer(WithExperts, nn.Module):
    """The encoder; its features are token ids, attention mask and token types, (N, L) each."""

    module_output_name = "token_embeddings"

    def __init__(self, model: Bert) -> None:
        super().__init__()
        self.model = model

    def _encode_features(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        del kwargs
        ids, mask = features["input_ids"], features["attention_mask"]
        return {
            **features,
            self.module_output_name: self.model(ids, mask, features["token_type_ids"]),
        }


class MeanPooling(nn.Module):
    """Mean of the hidden states of the tokens that are not padding."""

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Add ``sentence_embedding`` (N, H) to features with ``token_embeddings`` in float32."""
        states = features["token_embeddings"]
        mask = features["attention_mask"].unsqueeze(-1).to(states.dtype)  # [N, L, 1]
        total = (states * mask).sum(dim=1)
        return {**features, "sentence_embedding": total / mask.sum(dim=1).clamp(min=1e-9)}


class Normalize(nn.Module):
    """L2 normalisation."""

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Scale ``sentence_embedding`` (N, H) to unit length."""
        vectors = nn.functional.normalize(features["sentence_embedding"], dim=1)
        return {**features, "sentence_embedding": vectors}


@dataclass(frozen=True, slots=True)
class PlainTokenizer:
    """A tokenizer of one kind of tokens, which pads on the right."""

    backend_tokenizer: Tokenizer
    pad_token_id: int
    padding_side: str = "right"
    model_input_names: tuple[str, ...] = ("input_ids", "token_type_ids", "attention_mask")


class PlainEncoder:
    """The modules in order, with the attributes that the embedder reads."""

    device = torch.device("cpu")

    def __init__(
        self,
        modules: Sequence[Any],
        tokenizer: PlainTokenizer,
        max_seq_length: int,
        prompts: Mapping[str, str],
    ) -> None:
        self._modules = modules
        self._dimension = int(modules[0].model.config.hidden_size)
        self.tokenizer = tokenizer
        self.max_seq_length = max_seq_length
        self.prompts = prompts

    def __getitem__(self, index: int) -> Any:
        return self._modules[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules)

    def eval(self) -> None:
        """Do nothing: no module behaves differently in training."""

    def get_embedding_dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    def drop_modules(self) -> None:
        """Free the weights, of which there is a compiled copy."""
        self._modules = ()


def plain_encoder_of(source: str, device: str) -> PlainEncoder | None:
    """Load ``source`` if it is a folder and the device is the CPU; see :func:`plain_encoder`."""
    folder = Path(source).expanduser()
    if not folder.is_dir() or device not in ("auto", "cpu"):
        return None
    if device == "auto" and torch.cuda.is_available():
        return None
    return plain_encoder(folder)


def plain_encoder(folder: Path) -> PlainEncoder | None:
    """Load a folder onto the CPU; return None for one that is left to sentence-transformers.

    A damaged folder is also left to it, because the errors of the library are already reported.

    :raises EmbedderError: the experts of the folder are damaged.
    """
    try:
        encoder = _read(folder)
    except Exception:  # json, safetensors, tokenizers and torch have no common base type
        return None
    if encoder is not None and (folder / "experts.json").is_file():
        load_experts(encoder[0], folder)
    return encoder


def _read(folder: Path) -> PlainEncoder | None:
    modules = json.loads((folder / "modules.json").read_bytes())
    kinds = [str(module["type"]) for module in modules]
    names = [
        "Transformer" if kind == _EXPERTS else kind.rpartition(".")[2]
        for kind in kinds
        if kind.startswith(_LIBRARY) or kind == _EXPERTS
    ]
    if len(names) < len(kinds) or tuple(names) not in (_KINDS, _KINDS[:2]) or modules[0]["path"]:
        return None
    pooling = json.loads((folder / modules[1]["path"] / "config.json").read_bytes())
    settings = json.loads((folder / "sentence_bert_config.json").read_bytes())
    config = BertConfig.of(json.loads((folder / "config.json").read_bytes()))
    if (
        config is None
        or not _is_mean(pooling)
        or set(settings) - {"max_seq_length", "do_lower_case"}
    ):
        return None
    if settings.get("do_lower_case") or not settings.get("max_seq_length"):
        return None
    tokenizer = _tokenizer(folder)
    if tokenizer is None:
        return None
    length = min(int(settings["max_seq_length"]), config.max_position_embeddings)
    rest = [MeanPooling(), Normalize()][: len(kinds) - 1]
    return PlainEncoder([_transformer(folder, config), *rest], tokenizer, length, _prompts(folder))


def _is_mean(pooling: Mapping[str, Any]) -> bool:
    """Whether a pooling config, old format or new, is the mean only and includes the prompt."""
    if not pooling.get("include_prompt", True):
        return False
    if "pooling_mode" in pooling:
        return bool(pooling["pooling_mode"] in ("mean", ["mean"]))
    modes = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on]
    return modes == ["pooling_mode_mean_tokens"]


def _tokenizer(folder: Path) -> PlainTokenizer | None:
    about = json.loads((folder / "tokenizer_config.json").read_bytes())
    if about.get("tokenizer_class") not in _TOKENIZERS:
        return None
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.no_truncation()
    backend.no_padding()
    pad = backend.token_to_id(str(about["pad_token"]))
    return (
        None
        if pad is None or about.get("padding_side", "right") != "right"
        else (PlainTokenizer(backend, pad))
    )


def _transformer(folder: Path, config: BertConfig) -> PlainTransformer:
    with torch.device("meta"):
        model = Bert(config)
    state = {
        name.removeprefix("bert."): value
        for name, value in load_file(folder / _WEIGHTS).items()
        if "pooler." not in name and not name.endswith("embeddings.position_ids")
    }
    model.load_state_dict(state, assign=True)
    return PlainTransformer(model.eval().requires_grad_(False))


def _prompts(folder: Path) -> Mapping[str, str]:
    path = folder / "config_sentence_transformers.json"
    body = json.loads(path.read_bytes()) if path.is_file() else {}
    return {str(name): str(prompt) for name, prompt in (body.get("prompts") or {}).items()}
