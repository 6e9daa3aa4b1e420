"""Makes the reranker that is shipped, ``minilm-tokens``: what it knows of ordinary text.

    python lab/benchmarks/token_reranker.py --out .eval/minilm-tokens

The text is that of the demo's documents, which no evaluation uses. Layer, scale and weight were
chosen on the train splits of eight data sets (see lab/docs/measurements/reranker.md).
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from expertrag import models
from expertrag_index.loaders import load
from expertrag_lab.reranker.save import save_bundle
from expertrag_lab.reranker.token_weights import ordinary_weights
from expertrag_retriever.experts.bundle import Base
from expertrag_retriever.fingerprint import folder_fingerprint
from expertrag_retriever.publish import publish
from expertrag_retriever.rerank.bundle import RerankerForm, RerankerSettings, open_base

BASE = "all-minilm-l6-v2"
SETTINGS = RerankerSettings(
    RerankerForm.TOKEN_MATCH, max_tokens=160, search_weight=1.5, layer=5, scale=17.0
)
TEXTS = 2_000
CHARACTERS = 700
CARD = """# minilm-tokens

Late interaction without training: the score of a text is the mean, over the query's tokens, of
their best cosine with a token of the text, in the states of layer {layer} of {base}, less the mean
state of ordinary text; a token counts by the root of its inverse document frequency. Mean and
frequencies are all that is here: those of {texts:,} passages of the demo's documents (the
PostgreSQL manual and tldr pages), which no evaluation uses.

The scores are multiplied by {scale:g}, and the search's standardised score counts {weight:g}
times: both were chosen on train splits. Figures: lab/docs/measurements/reranker.md.

Made by `python lab/benchmarks/token_reranker.py`. Apache-2.0.
"""


def main() -> int:
    """Write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=Path, default=Path("examples/documents"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    folder = Path(models.ensure(BASE))
    documents = load([options.documents], on_failure=lambda failure: None)
    passages = [passage for item in documents for passage in passages_of(item.embedding_text)]
    texts = random.Random(0).sample(passages, TEXTS)
    bert, tokens = open_base(folder, SETTINGS.max_tokens)
    weights = asdict(ordinary_weights(bert, SETTINGS.layer, tokens.alone(texts)))
    with publish(options.out) as scratch:
        base = Base(BASE, folder_fingerprint(folder))
        save_bundle(weights, SETTINGS, base, scratch, {})
        card = CARD.format(
            layer=SETTINGS.layer,
            base=BASE,
            texts=TEXTS,
            scale=SETTINGS.scale,
            weight=SETTINGS.search_weight,
        )
        (scratch / "README.md").write_text(card, encoding="utf-8")
    print(f"wrote {options.out}")
    return 0


def passages_of(text: str) -> Iterator[str]:
    """Cut a document into passages of about the size of a chunk."""
    return (text[start : start + CHARACTERS] for start in range(0, len(text), CHARACTERS))


if __name__ == "__main__":
    sys.exit(main())
