"""SmolLM2's tokenizer with its first words alone, for tiny models.

Logits of all 49,152 words cost more than everything else in a tiny model.
"""

from __future__ import annotations

import json
from pathlib import Path

from transformers import AutoTokenizer


def write_short_tokenizer(source: Path, folder: Path, words: int = 4096) -> Path:
    """Save it with so many words; they have the numbers that they had before."""
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    file = folder / "tokenizer.json"
    body = json.loads(file.read_text())
    kept = {word: number for word, number in body["model"]["vocab"].items() if number < words}
    merges = [pair for pair in body["model"]["merges"] if {*pair, "".join(pair)} <= kept.keys()]
    body["model"].update(vocab=kept, merges=merges)
    file.write_text(json.dumps(body))
    return folder
