"""Checks that a base model knows the script of the texts that it will be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from expertrag_retriever.errors import TrainingError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_TEXTS = 100  # most texts of a domain that are checked
_MOST_UNKNOWN = 0.1
"""Share of unknown tokens; with an English model, English has none and Chinese .6."""


def check_language(
    model: SentenceTransformer, texts: Mapping[str, Sequence[str]], name: str
) -> None:
    """Raise for domains whose words a base model does not know: it cannot distinguish such texts.

    A language in a script that it knows passes; the dev slice shows whether an expert helps there.

    :param texts: texts by domain.
    :param name: name of the base model, for the message.
    :raises TrainingError: a domain is in another script.
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
                f"domain {domain}: {name} does not know {share:.0%} of its words; choose a base "
                "model of its language with --base"
            )
