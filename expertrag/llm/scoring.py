"""Score a given continuation under the model: log probabilities and hidden states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from expertrag.api.errors import Overloaded
from expertrag.llm.watching import middle_and_upper

_MOST_TOKENS = 2048  # of a batch, padding included
MOST_READ_TOKENS = 64
"""Of a continuation; later tokens add little information about a short answer."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredText:
    """Scores of a continuation of T tokens, the end token included.

    ``log_probabilities`` [T] in nats. ``middle`` and ``upper`` [D]: hidden states after half and
    three quarters of the layers, averaged over the continuation.
    """

    log_probabilities: NDArray[np.float32]
    middle: NDArray[np.float32]
    upper: NDArray[np.float32]


@torch.inference_mode()
def read(
    model: Any, items: Sequence[tuple[Sequence[int], Sequence[int]]], *, keeps_logits: bool
) -> Iterator[tuple[int, ScoredText]]:
    """Score continuations of prompts, both as token ids; yields (index, reading), shortest first.

    :param keeps_logits: whether the model can skip the logits of the prompts (``logits_to_keep``).
    """
    lengths = [len(prompt) + len(text) for prompt, text in items]
    for batch in _batches(lengths):
        most = lengths[batch[-1]]
        ids = torch.zeros(len(batch), most, dtype=torch.long)
        for row, place in enumerate(batch):
            ids[row, : lengths[place]] = torch.tensor([*items[place][0], *items[place][1]])
        mask = torch.arange(most)[None, :] < torch.tensor([lengths[p] for p in batch])[:, None]
        # Logits starting at the last prompt token: logits of whole prompts would take gigabytes.
        first = min(len(items[place][0]) for place in batch) - 1
        options = {"logits_to_keep": most - first} if keeps_logits else {}
        try:
            output = model(
                input_ids=ids.to(model.device),
                attention_mask=mask.long().to(model.device),
                output_hidden_states=True,
                use_cache=False,
                **options,
            )
        except torch.OutOfMemoryError as error:
            raise Overloaded(
                "out of accelerator memory; ask again later or shorten the prompt"
            ) from error
        skipped = first if keeps_logits else 0
        for row, place in enumerate(batch):
            start, stop = len(items[place][0]), lengths[place]
            yield place, _reading(output, row, ids[row], start, stop, skipped)


def _reading(
    output: Any, row: int, ids: torch.Tensor, start: int, stop: int, skipped: int
) -> ScoredText:
    """Extract one row; the first ``skipped`` positions have no logits."""
    logits = output.logits[row, start - 1 - skipped : stop - 1 - skipped].float()
    chosen = ids[start:stop, None].to(logits.device)
    middle, upper = middle_and_upper(output.hidden_states)
    return ScoredText(
        log_probabilities=logits.log_softmax(-1).gather(1, chosen)[:, 0].cpu().numpy(),
        middle=_mean(middle, row, start, stop),
        upper=_mean(upper, row, start, stop),
    )


def _mean(states: torch.Tensor, row: int, start: int, stop: int) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = states[row, start:stop].float().mean(0).cpu().numpy()
    return mean


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group indices by length, to keep the padding small."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if batch and lengths[place] * (len(batch) + 1) > _MOST_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
