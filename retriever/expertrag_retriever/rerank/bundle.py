"""A bundle: what a reranker adds to its base model, without that.

BUNDLE/reranker.safetensors   low-rank updates and head (bfloat16), or what is known of
                              ordinary text (float32)
BUNDLE/reranker.json          form and settings, the base model they belong to, training figures
BUNDLE/README.md              the card
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertrag_common import checksums
from expertrag_retriever.errors import RerankerError
from expertrag_retriever.experts.bundle import Base

if TYPE_CHECKING:
    import torch

    from expertrag_retriever.bert import Bert
    from expertrag_retriever.rerank.cross_encoder import PairNetwork
    from expertrag_retriever.rerank.network import CrossEncoderNetwork
    from expertrag_retriever.rerank.tokens import PairTokens

WEIGHTS = "reranker.safetensors"
SETTINGS = "reranker.json"


class RerankerForm(StrEnum):
    """How a query and a text meet."""

    CROSS_ENCODER = "cross_encoder"
    """In every layer: one pass reads both."""
    TOKEN_MATCH = "token_match"
    """In the states of one layer: each is read alone, and nothing is trained."""


@dataclass(frozen=True, slots=True)
class RerankerSettings:
    """Form of a reranker, and how its score is joined with the search's.

    ``max_tokens``: of a query and a text together, or of a text that is read alone.
    ``search_weight``: of the search's standardised score in the sum that ranks. ``rank``: of the
    updates of a cross-encoder. ``layer`` and ``scale``: of token matches.
    """

    form: RerankerForm
    max_tokens: int
    search_weight: float
    rank: int = 0
    layer: int = 0
    scale: float = 1.0


def is_reranker(folder: Path) -> bool:
    """Whether a folder holds a bundle of a reranker."""
    return (folder / SETTINGS).is_file()


def read_settings(folder: Path) -> tuple[RerankerSettings, Base]:
    """Read the settings of a bundle, and which base model it needs.

    :raises RerankerError: the folder is not a bundle, or is damaged.
    """
    if not is_reranker(folder):
        raise RerankerError(
            f"{folder} is not a reranker; name one made by `expertrag train reranker`"
        )
    try:
        checksums.verify(folder)
        body: dict[str, Any] = json.loads((folder / SETTINGS).read_bytes())
        base = Base(str(body["base"]["name"]), str(body["base"]["fingerprint"]))
        settings = body["settings"]
        return RerankerSettings(**{**settings, "form": RerankerForm(settings["form"])}), base
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damage_error(folder, error) from error


def open_network(base: Path, rank: int, max_tokens: int) -> tuple[CrossEncoderNetwork, PairTokens]:
    """Put new updates, which change nothing, into a base model.

    :raises RerankerError: the base is not a BERT encoder with mean pooling.
    """
    from expertrag_retriever.rerank.network import CrossEncoderNetwork

    bert, tokens = open_base(base, max_tokens)
    return CrossEncoderNetwork(bert, rank), tokens


def load_bundle(
    folder: Path, base: Path, base_fingerprint: str
) -> tuple[PairNetwork, RerankerSettings]:
    """Load a bundle and its base model, ready to score.

    :raises RerankerError: it is damaged, or belongs to another base.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    settings, needed = read_settings(folder)
    if needed.fingerprint != base_fingerprint:
        raise RerankerError(
            f"the reranker in {folder} was trained on a different version of {needed.name}: use "
            "that base model, or train it again on this one"
        )
    open_form = _token_match if settings.form is RerankerForm.TOKEN_MATCH else _cross_encoder
    try:
        state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
        return open_form(base, settings, state), settings
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise _damage_error(folder, error) from error


def _cross_encoder(
    base: Path, settings: RerankerSettings, state: Mapping[str, torch.Tensor]
) -> PairNetwork:
    from expertrag_retriever.encoder import number_format
    from expertrag_retriever.rerank.network import BertPairs

    network, tokens = open_network(base, settings.rank, settings.max_tokens)
    if state.keys() != network.trainable_parameters().keys():
        raise ValueError("other layers than the base model's")
    network.load_state_dict(state, strict=False)
    network.merge()
    network.bert.to(number_format("cpu"))
    return BertPairs(network.eval().requires_grad_(False), tokens)


def _token_match(
    base: Path, settings: RerankerSettings, state: Mapping[str, torch.Tensor]
) -> PairNetwork:
    from expertrag_retriever.encoder import number_format
    from expertrag_retriever.rerank.token_match import TokenMatchPairs, TokenWeights

    bert, tokens = open_base(base, settings.max_tokens)
    bert.to(number_format("cpu"))
    weights = TokenWeights(**state)
    return TokenMatchPairs(bert, tokens, settings.layer, weights, settings.scale)


def open_base(base: Path, max_tokens: int) -> tuple[Bert, PairTokens]:
    """Load the encoder and the tokenizer of a base model.

    :raises RerankerError: the base is not a BERT encoder with mean pooling.
    """
    from expertrag_retriever.plain_encoder import plain_encoder
    from expertrag_retriever.rerank.tokens import PairTokens

    encoder = plain_encoder(base)
    if encoder is None:
        raise RerankerError(
            f"the base model {base} is not a BERT encoder with mean pooling: name one, such as "
            "all-minilm-l6-v2"
        )
    bert: Bert = encoder[0].model
    longest = min(max_tokens, bert.config.max_position_embeddings)
    return bert, PairTokens(encoder.tokenizer.backend_tokenizer, longest)


def _damage_error(folder: Path, error: Exception) -> RerankerError:
    return RerankerError(
        f"the reranker in {folder} is damaged ({checksums.first_line(error)}): train it again, "
        "or fetch it again"
    )
