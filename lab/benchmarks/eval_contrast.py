"""Contrastive decoding of served readers: answers, citations and abstention with each weak side.

    python lab/benchmarks/eval_contrast.py --data DATA --json FILE

A model answers greedily as it is served, with the prompts of ``eval_reader.py``: from the gold
passages of squad2, hotpotqa and popqa, and for abstention also unanswerable questions of squad2
with a tempting document. The weak sides are the same model without the passages, and its base
without the domain's expert. Of ``BETAS``, the one with the most right answers to train questions is
used for the test questions. "before" is the model without contrast.

The experts of the shipped mixtures that route by token are equal, so self-contrast of their routing
cannot change an answer: ``eval_self_contrast.py`` measures it on a mixture whose experts differ.

``--json`` keeps the figures of models in the file that are not run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import results_file
from contrast_speed import contrast_speed
from reader_answers import AT_A_TIME, Model, ModelReply, routed
from reader_figures import HEADER, Figure, citations, compared, exact, is_gold, right, shares
from reader_questions import Asked, QuestionSet

from expertrag.answer.assemble import open_generator
from expertrag.api.contrast import Contrast, WeakSide
from expertrag.cli.progress import progress
from expertrag.config import Config, ModelConfig
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.load.loading import quiet
from expertrag.stores.embedders import open_embedder
from expertrag_index.types import Progress
from expertrag_lab.eval.serving import model_inputs
from expertrag_lab.train.reader.network import ANSWER_TOKENS
from expertrag_retriever.base import Embedder

SETS = ("squad2", "hotpotqa", "popqa")
SIDES = (WeakSide.NO_PASSAGES, WeakSide.BASE)
BETAS = (0.25, 0.5, 1.0)
SPEED_TEXTS = 4
QUICK = 10
CODE = (
    *results_file.ANSWERS,
    "lab/benchmarks/contrast_speed.py",
    "lab/benchmarks/eval_contrast.py",
    "lab/benchmarks/reader_answers.py",
    "lab/benchmarks/reader_figures.py",
    "lab/benchmarks/reader_questions.py",
)


def main() -> None:
    """Measure the models, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--models", nargs="*", default=["smollm2-135m-reader"])
    parser.add_argument("--questions", type=int, default=400, help="test questions per data set")
    parser.add_argument("--dev-questions", type=int, default=100, help="train questions for beta")
    parser.add_argument("--tokens", type=int, default=ANSWER_TOKENS, help="tokens per answer")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} questions per data set")
    given = parser.parse_args()
    if given.quick:
        given.questions = given.dev_questions = QUICK
    found: dict[str, Any] = results_file.read(given.json).get("models", {})
    with progress() as report, quiet():
        embedder = open_embedder(Config().model, None)
        for name in given.models:
            generator = open_generator(ModelConfig(generator=name))
            assert isinstance(generator, TransformersGenerator), "it is a folder"
            bench = Bench(generator, embedder, given, report)
            found[name] = {"inputs": bench.inputs, "speed": bench.speed(), "sides": {}}
            for side, measured in bench.measured():
                found[name]["sides"][side] = measured
                results_file.write(given.json, {"models": found}, CODE, (name,))
                print(f"\n{name}, {side}\n\n{HEADER}")
                for item in found[name]["sides"][side]["figures"]:
                    print(Figure.parsed(item).row)
                sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of a split with gold passages by set, and the unanswerable ones of squad2."""

    gold: Mapping[str, Sequence[Asked]]
    tempting: Sequence[Asked]

    @classmethod
    def of(cls, data: Path, count: int, split: str) -> Questions:
        """Draw questions of every set."""
        sets = {name: QuestionSet(data / name, count, split) for name in SETS}
        gold = {name: testset.alone() for name, testset in sets.items()}
        return cls(gold, sets["squad2"].tempting())


class Bench:
    """A model as it is served, with the router that chooses the expert of a question."""

    def __init__(
        self,
        generator: TransformersGenerator,
        embedder: Embedder,
        given: argparse.Namespace,
        report: Progress,
    ) -> None:
        self._generator, self._embedder, self._report = generator, embedder, report
        self._work, self._tokens = given.work / "reader", given.tokens
        self._dev = Questions.of(given.data, given.dev_questions, "train")
        self._test = Questions.of(given.data, given.questions, "test")
        self._counts = {"questions": given.questions, "dev_questions": given.dev_questions}

    @property
    def inputs(self) -> dict[str, Any]:
        """What the figures depend on, for the manifest."""
        own = {"generator": model_inputs(self._generator), "embedder": model_inputs(self._embedder)}
        return {**own, **self._counts, "tokens": self._tokens}

    def speed(self) -> dict[str, Any]:
        """Compare the seconds of an answer against the base with those of greedy decoding."""
        prompts = [
            self._generator._chat.encode(item.messages)
            for item in self._test.gold["squad2"][:SPEED_TEXTS]
        ]
        found = contrast_speed(self._generator, prompts, WeakSide.BASE, self._report)
        return {str(WeakSide.BASE): asdict(found)}

    def measured(self) -> Iterator[tuple[WeakSide, dict[str, Any]]]:
        """Choose beta on dev questions, by weak side, and compare answers to test questions."""
        self._ask(self._dev, [Contrast(side, beta) for side in SIDES for beta in BETAS])
        dev = {side: {beta: self._right(Contrast(side, beta)) for beta in BETAS} for side in SIDES}
        best = {side: max(BETAS, key=dev[side].__getitem__) for side in SIDES}
        self._ask(self._test, [Contrast(side, beta) for side, beta in best.items()])
        for side, beta in best.items():
            shares = {"0": self._right(None), **{f"{at:g}": dev[side][at] for at in BETAS}}
            figures = list(map(asdict, self._figures(self._test, Contrast(side, beta))))
            yield side, {"beta": beta, "dev": shares, "figures": figures}

    def _ask(self, questions: Questions, contrasts: Sequence[Contrast]) -> None:
        """Answer a few questions in all ways, then the next, so that prompts stay in the cache."""
        for asked in (*questions.gold.values(), questions.tempting):
            for start in range(0, len(asked), AT_A_TIME):
                for contrast in (None, *contrasts):
                    self._replies(asked[start : start + AT_A_TIME], contrast)

    def _right(self, contrast: Contrast | None) -> float:
        """Share of right answers to dev questions, and of abstentions where none is right."""
        scores = [
            float(right(item, reply))
            for asked in self._dev.gold.values()
            for item, reply in zip(asked, self._replies(asked, contrast), strict=True)
        ]
        scores += [
            float(not reply.reply.has_answer)
            for reply in self._replies(self._dev.tempting, contrast)
        ]
        return sum(scores) / len(scores)

    def _figures(self, questions: Questions, contrast: Contrast) -> list[Figure]:
        figures = []
        for name, asked in questions.gold.items():
            both = self._replies(asked, None), self._replies(asked, contrast)
            for what, score in (("right", right), ("exact", exact)):
                figures.append(compared(f"{name} gold, {what}", score, asked, both))
            if name == "squad2":
                figures.append(compared("squad2 gold, abstains", _abstains, asked, both))
            pointed = (
                [
                    citations(item, reply, is_gold)
                    for item, reply in zip(asked, some, strict=True)
                    if right(item, reply)
                ]
                for some in both
            )
            figures.append(shares(f"{name} gold, citations of right answers", *pointed))
        asked = questions.tempting
        both = self._replies(asked, None), self._replies(asked, contrast)
        figures.append(compared("squad2 unanswerable, abstains", _abstains, asked, both))
        return figures

    def _replies(self, asked: Sequence[Asked], contrast: Contrast | None) -> list[ModelReply]:
        model = Model(self._generator, self._work, self._tokens, self._report, contrast)
        return model.ask(asked, routed(self._embedder, asked))


def _abstains(_asked: Asked, reply: ModelReply) -> bool:
    return not reply.reply.has_answer


if __name__ == "__main__":
    main()
