"""Whether a base model reads the language of the texts that it is to be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from expertrag_retriever.errors import TrainingError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_TEXTS = 100  # of a domain that are looked at
_MOST_UNKNOWN = 0.1
"""Share of tokens that the vocabulary lacks: English has none, Chinese .6 with an English model."""


def check_language(
    model: SentenceTransformer, texts: Mapping[str, Sequence[str]], name: str
) -> None:
    """Refuse domains whose words are unknown to a base model: all such texts are the same to it.

    A language in letters that it knows passes; whether an expert helps there is for the dev slice.

    :param texts: by domain.
    :param name: of the base model, for the message.
    :raises TrainingError: a domain in another script.
    """
    unknown = model.tokenizer.unk_token_id
    if unknown is None:
        return
    for domain, some in texts.items():
        tokens = [
            token
            for ids in model.tokenizer(list(some[:_TEXTS]), add_special_tokens=False)["input_ids"]
            for token in ids
        ]
        share = tokens.count(unknown) / max(1, len(tokens))
        if share > _MOST_UNKNOWN:
            raise TrainingError(
                f"domain {domain}: {name} does not know {share:.0%} of its words; name a base "
                "model that reads its language with --base"
            )
