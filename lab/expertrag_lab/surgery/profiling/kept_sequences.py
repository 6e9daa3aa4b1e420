"""Tokens of prompts as they are served, kept in a file for a run that is killed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from expertrag.api.errors import InvalidArgument
from expertrag_common.durable import write_durably
from expertrag_index.types import Progress
from expertrag_lab.surgery.profiling.served_model import ServedModel
from expertrag_lab.surgery.profiling.traffic import TrafficPrompt


def load_sequences(
    served: ServedModel,
    traffic: Sequence[TrafficPrompt],
    kept: Path,
    least: int,
    progress: Progress,
) -> list[list[int]]:
    """Return the tokens of the prompts that fit; a killed run has kept them in a file.

    :param kept: the file, which is written when all are known.
    :param least: prompts that are needed.
    :raises InvalidArgument: there are fewer.
    """
    if kept.is_file():
        sequences: list[list[int]] = json.loads(kept.read_bytes())
        return sequences
    sequences = [tokens for _, tokens in served.fitting(traffic, progress)]
    if len(sequences) < least:
        raise InvalidArgument(
            f"{len(sequences)} of {len(traffic)} prompts fit the {served.context_tokens:,} tokens "
            f"of {served.name}'s context, and {least} are needed: give more prompts, or lower "
            "--most-tokens"
        )
    write_durably(kept, json.dumps(sequences).encode())
    return sequences
