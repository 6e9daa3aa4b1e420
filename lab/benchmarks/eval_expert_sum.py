"""Sum over a reader's experts, for questions whose domain is in doubt, against the likeliest one.

    python lab/benchmarks/eval_expert_sum.py --data DATA --json FILE

p(y) = sum over experts e of p(e) p_e(y): the router's probability of the expert, times what the
expert holds of the answer. The candidates y are the answers of the experts that the router finds
likely, each scored by all of them; the best one is compared with the answer of the likeliest
expert, which is what is served. A question is in doubt if a second expert has a probability of
``LEAST``. Questions are of test splits, with gold passages, as in ``eval_reader.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import results_file
from reader_answers import Model, ModelReply
from reader_figures import HEADER, Figure, means, scored
from reader_questions import SETS, Asked, QuestionSet

from expertrag.answer.assemble import open_generator
from expertrag.api.types import Sampling
from expertrag.cli.progress import progress
from expertrag.config import Config, ModelConfig
from expertrag.llm.base import BASE, SHARED
from expertrag.llm.load.loading import quiet
from expertrag.stores.embedders import open_embedder
from expertrag_lab.eval.serving import model_inputs
from expertrag_lab.train.reader.network import ANSWER_TOKENS

LEAST = 0.1
MOST_EXPERTS = 3
QUICK = 10
CODE = (
    *results_file.ANSWERS,
    "lab/benchmarks/eval_expert_sum.py",
    "lab/benchmarks/reader_answers.py",
    "lab/benchmarks/reader_questions.py",
)

Weights = dict[str, float]
"""Router's probability of each likely expert, the likeliest first."""


def main() -> None:
    """Measure all sets, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--model", default="smollm2-135m-reader")
    parser.add_argument("--questions", type=int, default=400, help="test questions per data set")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} questions per data set")
    given = parser.parse_args()
    count = QUICK if given.quick else given.questions
    with progress() as report, quiet():
        embedder = open_embedder(Config().model, None)
        generator = open_generator(ModelConfig(generator=given.model))
        model = Model(generator, given.work / "reader", ANSWER_TOKENS, report)
        own = [name for name in generator.experts if name != BASE]
        names = [name if name in own else SHARED for name in (*embedder.experts, SHARED)]
        doubted: list[tuple[Asked, Weights]] = []
        asked_of = {name: QuestionSet(given.data / name, count).alone() for name in SETS}
        for asked in asked_of.values():
            shares = embedder.posteriors([item.question for item in asked])
            weights = [_likely(names, row) for row in shares]
            doubted += [
                (item, some) for item, some in zip(asked, weights, strict=True) if len(some) > 1
            ]
        figures = _figures(model, doubted)
    print("\n".join((HEADER, *(figure.row for figure in figures))))
    body = {
        "inputs": {
            "generator": model_inputs(generator),
            "embedder": model_inputs(embedder),
            "questions": count,
        },
        "asked": sum(map(len, asked_of.values())),
        "doubted": len(doubted),
        "figures": list(map(asdict, figures)),
    }
    results_file.write(given.json, body, CODE)


def _likely(names: Sequence[str], shares: np.ndarray) -> Weights:
    """Return the likely experts of a question and their probabilities."""
    summed: Weights = {}
    for name, share in zip(names, shares.tolist(), strict=True):
        summed[name] = summed.get(name, 0.0) + share
    order = sorted(summed, key=lambda name: -summed[name])[:MOST_EXPERTS]
    return {name: summed[name] for name in order if name == order[0] or summed[name] >= LEAST}


def _figures(model: Model, doubted: Sequence[tuple[Asked, Weights]]) -> list[Figure]:
    replies: dict[tuple[str, str], ModelReply] = {}
    for expert in sorted({name for _, weights in doubted for name in weights}):
        asked = [item for item, weights in doubted if expert in weights]
        for item, reply in zip(asked, model.ask(asked, [expert] * len(asked)), strict=True):
            replies[item.id, expert] = reply
    before, after, changed = [], [], []
    for item, weights in doubted:
        candidates = {name: replies[item.id, name] for name in weights}
        likeliest = candidates[next(iter(weights))]
        best = _best(model, item, weights, [reply.text for reply in candidates.values()])
        chosen = next(reply for reply in candidates.values() if reply.text == best)
        before.append(float(scored(item, likeliest)))
        after.append(float(scored(item, chosen)))
        changed.append(float(chosen.text != likeliest.text))
    return [
        means("right: by the sum after the likeliest", before, after),
        means("answers that the sum changes", [0.0] * len(changed), changed),
    ]


def _best(model: Model, asked: Asked, weights: Weights, texts: Sequence[str]) -> str:
    """Return the candidate with the highest probability, summed over the experts."""
    found = list(dict.fromkeys(texts))
    if len(found) == 1:
        return found[0]
    totals = dict.fromkeys(found, 0.0)
    for expert, weight in weights.items():
        items = [(asked.messages, text) for text in found]
        policy = model.generator.make_policy(Sampling(), expert)
        for place, read in model.generator.read(items, policy, from_passages=True):
            totals[found[place]] += weight * math.exp(float(read.log_probabilities.sum()))
    return max(found, key=lambda text: totals[text])


if __name__ == "__main__":
    main()
