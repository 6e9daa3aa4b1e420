"""Compare reading passages in portions, which prefix caching helps, with reading all at once.

    python lab/benchmarks/bench_hot.py --data DATA --json FILE

"Best first" is as served (``expertrag/answer/portions.py``): the best passage, then three, then
all, until the probe hardly doubts that they hold the answer. ``cold`` is the time without cached
prefixes, ``hot`` that of the same question in other words right after it. Questions are those of
``eval_answers.py``, including squad2's unanswerable ones; answers have at most 25 tokens.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import results_file
from eval_answers import MODELS, SETS, UNANSWERABLE, answerable, config_of, unanswerable
from served_answers import PASSAGES, TOKENS

from expertrag.answer.portions import PassageSession, open_session
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.reply import reply_sampling
from expertrag.api.types import Passage, RetrieveRequest, Sampling
from expertrag.cli.progress import progress
from expertrag.config import TOGETHER
from expertrag.llm import prompt
from expertrag.llm.base import Generator, Session
from expertrag.llm.load.loading import quiet
from expertrag.llm.prompt import ABSTAINS_FROM
from expertrag.runtime.meter import Meter
from expertrag_index.types import Progress
from expertrag_lab.data.datasets import Query, load_dataset
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.serving import Opened, open_pipeline_for
from expertrag_lab.metrics import squad
from expertrag_lab.metrics.calibration import auc

REUSE_MIB = 1024
CODE = (*results_file.ANSWERS, "lab/benchmarks/bench_hot.py", "lab/benchmarks/eval_answers.py")


@dataclass(frozen=True, slots=True)
class Read:
    """An answer from passages, with its doubt, number of prompts, and seconds."""

    text: str
    doubt: float
    prompts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer to a question, and to the same question in other words after it."""

    query: Query
    cold: Read
    hot: Read


def main() -> None:
    """Ask the questions, print the comparison, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--model", default=MODELS[-1])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--questions", type=int, default=24, help="questions per data set")
    parser.add_argument("--dev", action="store_true", help="use dev questions of the train split")
    given = parser.parse_args()
    config = config_of(given.model)
    config = replace(config, model=replace(config.model, reuse_mib=REUSE_MIB))
    inputs: dict[str, JSON] = {}
    found: dict[str, dict[str, JSON]] = {}
    with progress() as report, quiet():
        for name in given.sets:
            dataset = load_dataset(given.data / name, "train" if given.dev else "test")
            queries = answerable(dataset, given.questions, dev=given.dev)
            if name == UNANSWERABLE:
                queries += unanswerable(dataset, given.questions, dev=given.dev)
            found[name] = {"questions": sum(bool(query.answers) for query in queries)}
            for way, passages in (("together", TOGETHER), ("best_first", "auto")):
                # one model each, so that neither finds the other's cached prefixes
                chosen = replace(config, lab=replace(config.lab, passages=passages))
                with open_pipeline_for(dataset, chosen, given.work, report) as opened:
                    inputs[name] = {**opened.inputs, "queries": dataset.sha256}
                    found[name][way] = figures(asked(opened, queries, name, report))
            print(name, json.dumps(found[name], indent=1))
    results_file.write(given.json, {"inputs": inputs, "sets": found}, CODE)


def asked(opened: Opened, queries: Sequence[Query], name: str, report: Progress) -> list[Asked]:
    """Answer every question from its passages, then the same question in other words."""
    model, reading, found = opened.generator, opened.pipeline._reading, []
    passages = [opened.pipeline.retrieve(RetrieveRequest(q.text)).passages for q in queries]
    for place, query in enumerate(queries):
        other = f"{query.text.rstrip(' ?')}, please?"
        shown = passages[place][:PASSAGES]
        cold, hot = (_read(model, reading, text, shown) for text in (query.text, other))
        found.append(Asked(query, cold, hot))
        report(f"{model.name}, {name}", place + 1, len(queries))
    return found


def figures(some: Sequence[Asked]) -> dict[str, JSON]:
    """Return shares of questions, AUROC of abstention if both kinds are asked, median seconds."""
    answered = [item for item in some if item.query.answers]
    reads = [item.cold for item in some]
    figures: dict[str, JSON] = {
        "right": statistics.mean(
            squad.right(item.cold.text, item.query.answers or ()) for item in answered
        ),
        "abstains": _abstains(answered),
        "prompts": statistics.mean(read.prompts for read in reads),
        "cold_s": statistics.median(read.seconds for read in reads),
        "hot_s": statistics.median(item.hot.seconds for item in some),
    }
    if lacking := [item for item in some if not item.query.answers]:
        figures["abstains, unanswerable"] = _abstains(lacking)
        figures["auroc"] = auc(
            [read.doubt for read in reads], [not item.query.answers for item in some]
        )
    return figures


def _abstains(some: Sequence[Asked]) -> float:
    return statistics.mean(item.cold.doubt >= ABSTAINS_FROM for item in some)


def _read(model: Generator, policy: ReadingPolicy, question: str, shown: Sequence[Passage]) -> Read:
    """Answer from passages, best first or all at once, as the model is configured."""
    family = prompt.FAMILIES[model.family]
    sampling = reply_sampling(Sampling(max_tokens=TOKENS), reader=policy.reader)

    def begin(passages: Sequence[Passage]) -> Session:
        messages = prompt.open_book(question, passages, family=family)
        return model.begin(messages, sampling, from_passages=True)

    started, others = time.perf_counter(), Meter()
    if policy.best_first:
        reading = open_session(begin, shown, others)
    else:
        reading = PassageSession.of(begin(shown), shown)
    with closing(reading.session) as session:
        text = "".join(delta.text for delta in reading.deltas)
        seconds = time.perf_counter() - started
        return Read(text, session.doubt or 0.0, others.usage().lm_calls + 1, seconds)


if __name__ == "__main__":
    main()
