"""Self-contrast of routing (SCMoE, Shi et al. 2024) on a mixture whose experts differ.

    python lab/benchmarks/eval_self_contrast.py --data DATA --model FOLDER --json FILE

The model of ``fixture_moe.py`` is contrasted with itself with fewer experts a token, as
``Sampling.contrast`` does. Of ``WEAK`` and ``BETAS``, the routing of the weak side and the beta are
used with which most tokens of right replies to dev prompts are the likeliest ones; these are of
train splits, and the training has not seen them. Then prompts and texts of test splits are
measured. A reply whose tokens are all the likeliest is what greedy decoding gives. "before" is
without contrast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import results_file
import torch
from fixture_engine import Model
from fixture_texts import RowSets, dev_prompts, encoded, rows_of, test_prompts, texts_of
from reader_figures import HEADER, Figure, means

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.cli.progress import progress
from expertrag.llm.contrast import apply_contrast
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.load.loading import quiet
from expertrag_index.types import Progress
from expertrag_kernels import Routing
from expertrag_lab.train.reader.examples import ReaderExample

WEAK = ("top_k:1", "top_k:2")
BETAS = (0.1, 0.25, 0.5, 1.0)
QUICK = 10
CODE = (
    *results_file.ENGINE,
    "expertrag/llm/contrast.py",
    "lab/benchmarks/fixture_engine.py",
    "lab/benchmarks/fixture_moe.py",
    "lab/benchmarks/fixture_network.py",
    "lab/benchmarks/fixture_texts.py",
    "lab/benchmarks/eval_self_contrast.py",
)
Hits = list[list[bool]]
"""Whether each token of some texts is the likeliest next one."""


def main() -> None:
    """Measure the model, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=300, help="test prompts of a data set")
    parser.add_argument("--dev-prompts", type=int, default=100, help="dev prompts of a data set")
    parser.add_argument("--texts", type=int, default=40, help="test texts of a domain")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} of each")
    given = parser.parse_args()
    if given.quick:
        given.prompts = given.dev_prompts = given.texts = QUICK
    with progress() as report, quiet():
        model = Model.load(given.model.name, given.model, given.dtype)
        bench = Bench(model, report)
        chosen, dev = bench.chosen(dev_prompts(given.data, given.dev_prompts, report))
        figures = [
            *bench.prompts(test_prompts(given.data, given.prompts, report), chosen),
            *bench.texts(texts_of(given.data, "test", given.texts), chosen),
        ]
    print("\n".join((HEADER, *(figure.row for figure in figures))))
    counts = {name: getattr(given, name) for name in ("prompts", "dev_prompts", "texts", "dtype")}
    body = {
        "inputs": {"model": model.inputs, **counts},
        "weak": chosen.routing,
        "beta": chosen.beta,
        "dev": dev,
        "figures": list(map(asdict, figures)),
    }
    results_file.write(given.json, body, CODE)


class Bench:
    """A model whose next tokens are compared with and without contrast."""

    def __init__(self, model: Model, report: Progress) -> None:
        self._model, self._report = model, report
        self._chat = ChatTokenizer(model.tokenizer)

    def chosen(
        self, asked: Mapping[str, Sequence[ReaderExample]]
    ) -> tuple[Contrast, dict[str, float]]:
        """Return the contrast that is best on dev prompts, and the share of hits of each."""
        tried = [Contrast(WeakSide.ROUTING, beta, routing=weak) for weak in WEAK for beta in BETAS]
        pairs = [pair for some in asked.values() for pair in self._pairs(some)]
        hits = self._hits(pairs, (None, *tried), "dev prompts")
        shares = [_share(found) for found in hits]
        names = ("greedy", *(f"{item.routing}, {item.beta:g}" for item in tried))
        best = max(range(len(tried)), key=lambda place: shares[place + 1])
        return tried[best], dict(zip(names, shares, strict=True))

    def prompts(
        self, asked: Mapping[str, Sequence[ReaderExample]], contrast: Contrast
    ) -> list[Figure]:
        """Compare the tokens of right replies, and whole replies, by domain."""
        figures = []
        every: list[tuple[list[float], list[float]]] = []
        for domain, some in asked.items():
            before, after = self._hits(self._pairs(some), (None, contrast), f"{domain} prompts")
            tokens = _means(before), _means(after)
            whole = _whole(before), _whole(after)
            figures.append(means(f"{domain}, reply tokens", *tokens))
            figures.append(means(f"{domain}, whole replies", *whole))
            every += [tokens, whole]
        for name, part in (("reply tokens", every[::2]), ("whole replies", every[1::2])):
            sides = ([x for item in part for x in item[side]] for side in (0, 1))
            figures.append(means(f"all, {name}", *sides))
        return figures

    def texts(self, texts: Mapping[str, Sequence[str]], contrast: Contrast) -> list[Figure]:
        """Compare the tokens of texts, by domain."""
        rows: RowSets = rows_of(texts, {}, self._model.tokenizer)
        figures = []
        for name, some in rows.items():
            pairs = [(row[:1].tolist(), row[1:].tolist()) for row in some.tokens]
            before, after = self._hits(pairs, (None, contrast), name)
            figures.append(means(f"{name}, tokens", _means(before), _means(after)))
        return figures

    def _pairs(self, asked: Sequence[ReaderExample]) -> list[tuple[list[int], list[int]]]:
        end = self._model.tokenizer.eos_token_id
        return [encoded(example, self._chat, end) for example in asked]

    def _hits(
        self,
        pairs: Sequence[tuple[list[int], list[int]]],
        contrasts: Sequence[Contrast | None],
        stage: str,
    ) -> list[Hits]:
        """Return for each contrast, None for greedy, the hits of each continuation's tokens."""
        found: list[Hits] = [[] for _ in contrasts]
        for done, (prompt, continuation) in enumerate(pairs):
            self._report(f"self-contrast: {stage}", done, len(pairs))
            sides = {
                routing: self._model.logits(
                    [*prompt, *continuation], len(continuation) + 1, Routing.parse(routing)
                )[:-1]
                for routing in {"", *(item.routing for item in contrasts if item)}
            }
            for hits, item in zip(found, contrasts, strict=True):
                hits.append(_hit(sides, continuation, item))
        self._report(f"self-contrast: {stage}", len(pairs), len(pairs))
        self._model.network.reset_prefix_cache()
        return found


def _hit(
    sides: Mapping[str, torch.Tensor], targets: Sequence[int], contrast: Contrast | None
) -> list[bool]:
    strong = sides[""]
    if contrast is None:
        best = strong.argmax(1).tolist()
    else:
        both = zip(strong, sides[contrast.routing], strict=True)
        best = [int(apply_contrast(*pair, contrast).argmax()) for pair in both]
    return [found == target for found, target in zip(best, targets, strict=True)]


def _share(hits: Hits) -> float:
    every = [hit for some in hits for hit in some]
    return sum(every) / len(every)


def _means(hits: Hits) -> list[float]:
    return [sum(some) / len(some) for some in hits]


def _whole(hits: Hits) -> list[float]:
    return [float(all(some)) for some in hits]


if __name__ == "__main__":
    main()
