"""A bundle: the low-rank updates and the head of a cross-encoder, without its base model.

BUNDLE/reranker.safetensors   updates and head, bfloat16
BUNDLE/reranker.json          settings, the base model they belong to, training figures
BUNDLE/README.md              the card
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertrag_retriever import checksums
from expertrag_retriever.errors import RerankerError
from expertrag_retriever.experts.bundle import Base

if TYPE_CHECKING:
    import torch

    from expertrag_retriever.rerank.network import CrossEncoderNetwork, PairTokens

WEIGHTS = "reranker.safetensors"
SETTINGS = "reranker.json"


@dataclass(frozen=True, slots=True)
class RerankerSettings:
    """Form of the network, and how its score is joined with the search's.

    ``rank``: of the updates; ``max_tokens``: of a query and a text; ``search_weight``: of the
    search's score in the sum that ranks.
    """

    rank: int
    max_tokens: int
    search_weight: float


def is_reranker(folder: Path) -> bool:
    """Whether a folder holds a bundle of a reranker."""
    return (folder / SETTINGS).is_file()


def save_bundle(
    weights: Mapping[str, torch.Tensor],
    settings: RerankerSettings,
    base: Base,
    folder: Path,
    about: Mapping[str, Any],
) -> None:
    """Write a bundle into an existing folder.

    :param about: further fields of ``reranker.json``.
    """
    from safetensors.torch import save_file

    state = {name: value.detach().bfloat16().contiguous() for name, value in weights.items()}
    save_file(state, folder / WEIGHTS)
    body = {"settings": asdict(settings), "base": asdict(base), **about}
    (folder / SETTINGS).write_text(json.dumps(body, indent=2, sort_keys=True) + "\n")
    checksums.seal(folder, WEIGHTS, SETTINGS)


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
        return RerankerSettings(**body["settings"]), base
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from error


def open_network(base: Path, rank: int, max_tokens: int) -> tuple[CrossEncoderNetwork, PairTokens]:
    """Put new updates, which change nothing, into a base model.

    :raises RerankerError: the base is not a BERT encoder with mean pooling.
    """
    from expertrag_retriever.plain_encoder import plain_encoder
    from expertrag_retriever.rerank.network import CrossEncoderNetwork, PairTokens

    encoder = plain_encoder(base)
    if encoder is None:
        raise RerankerError(
            f"the base model {base} is not a BERT encoder with mean pooling: name one, such as "
            "all-minilm-l6-v2"
        )
    bert = encoder[0].model
    longest = min(max_tokens, bert.config.max_position_embeddings)
    tokens = PairTokens(encoder.tokenizer.backend_tokenizer, longest)
    return CrossEncoderNetwork(bert, rank), tokens


def load_bundle(
    folder: Path, base: Path, base_fingerprint: str
) -> tuple[CrossEncoderNetwork, PairTokens, RerankerSettings]:
    """Load a bundle into its base model, merged and ready to score.

    :raises RerankerError: it is damaged, or was trained on another base.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from expertrag_retriever.encoder import number_format

    settings, own = read_settings(folder)
    if own.fingerprint != base_fingerprint:
        raise RerankerError(
            f"the reranker in {folder} was trained on a different version of {own.name}: use that "
            "base model, or train it again on this one"
        )
    network, tokens = open_network(base, settings.rank, settings.max_tokens)
    try:
        state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
        if state.keys() != network.trained().keys():
            raise ValueError("other layers than the base model's")
        network.load_state_dict(state, strict=False)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise _damaged(folder, error) from error
    network.merge()
    network.bert.to(number_format("cpu"))
    return network.eval().requires_grad_(False), tokens, settings


def _damaged(folder: Path, error: Exception) -> RerankerError:
    return RerankerError(
        f"the reranker in {folder} is damaged ({checksums.first_line(error)}): train it again, "
        "or fetch it again"
    )
