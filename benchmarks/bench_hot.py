"""Hot passages: read apart, so that later questions reuse them, beside all in one prompt.

    python benchmarks/bench_hot.py --data DATA --json FILE

Read by itself, a passage follows nothing but the instructions, and its keys and values serve every
question that finds it again. Five prompts are then five answers, of which one is chosen:

    doubt    the one whose passage is least likely to hold no answer
    both     by that and by the mean log probability of the answer's tokens
    any      one that holds an accepted answer, if there is one: what a perfect choice would give

``cold`` are the seconds when nothing was read before, ``hot`` those of another question about the
same five passages. Questions are those of ``eval_answers.py``; texts are 25 tokens at most.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from eval_answers import MODELS, PASSAGES, TOKENS, answerable, config_of

from expertrag import prompt
from expertrag.cli.progress import progress
from expertrag.config import NO_READER
from expertrag.eval import squad
from expertrag.eval.datasets import Query, load_dataset
from expertrag.eval.manifest import make_manifest
from expertrag.eval.serving import Opened, open_pipeline_for
from expertrag.eval.stores import default_work
from expertrag.eval.types import JSON
from expertrag.generation.base import Generator
from expertrag.generation.loading import quiet
from expertrag.prompt import Reply
from expertrag.replying import reply_sampling
from expertrag.types import Passage, RetrieveRequest, Sampling
from expertrag_index.types import Progress

SETS = ("squad2", "hotpotqa", "popqa")
REUSE_MIB = 1024


@dataclass(frozen=True, slots=True)
class Read:
    """What was answered from some passages; ``certainty`` is the mean log probability."""

    text: str
    doubt: float
    certainty: float

    @property
    def found(self) -> bool:
        """Whether it is an answer."""
        return Reply.of(self.text).found


@dataclass(frozen=True, slots=True)
class Compared:
    """One question, read both ways."""

    together: Read
    apart: tuple[Read, ...]
    together_cold_s: float
    together_hot_s: float
    apart_cold_s: float
    apart_hot_s: float


def main() -> int:
    """Ask, compare, print, and write JSON where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--model", default=MODELS[-1])
    parser.add_argument("--reader", default=NO_READER, help="beside the model")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--questions", type=int, default=24, help="of each set")
    parser.add_argument("--dev", action="store_true", help="dev questions of the train split")
    parser.add_argument("--work", type=Path, default=default_work())
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    config = config_of(given.model, given.reader)
    config = replace(config, model=replace(config.model, reuse_mib=REUSE_MIB))
    inputs: dict[str, JSON] = {}
    found: dict[str, JSON] = {}
    with progress() as report, quiet():
        for name in given.sets:
            dataset = load_dataset(given.data / name, "train" if given.dev else "test")
            queries = answerable(dataset, given.questions, dev=given.dev)
            with open_pipeline_for(dataset, config, given.work, report) as opened:
                inputs[name] = {**opened.inputs, "queries": dataset.sha256}
                found[name] = figures(queries, compared(opened, queries, name, report))
                print(name, json.dumps(found[name], indent=1))
    if given.json:
        body = {"manifest": asdict(make_manifest("hot", {"sets": inputs})), "sets": found}
        given.json.write_text(json.dumps(body, indent=1) + "\n")
    return 0


def compared(
    opened: Opened, queries: Sequence[Query], name: str, report: Progress
) -> list[Compared]:
    """Read the passages of every question both ways, the question after it with the same ones."""
    model, found = opened.generator, []
    passages = [opened.pipeline.retrieve(RetrieveRequest(q.text)).passages for q in queries]
    for place, query in enumerate(queries):
        other = queries[(place + 1) % len(queries)].text
        shown = passages[place][:PASSAGES]
        # apart first: the prompt of all of them begins with the best one, and would find it read
        apart, apart_cold = _timed(model, query.text, [[item] for item in shown])
        _, apart_hot = _timed(model, other, [[item] for item in shown])
        (together,), cold = _timed(model, query.text, [shown])
        _, hot = _timed(model, other, [shown])
        found.append(Compared(together, tuple(apart), cold, hot, apart_cold, apart_hot))
        report(f"{model.name}, {name}", place + 1, len(queries))
    return found


def figures(queries: Sequence[Query], some: Sequence[Compared]) -> dict[str, JSON]:
    """Shares of questions whose answer holds an accepted one, and seconds (medians)."""
    ways = {
        "together": [[item.together] for item in some],
        "apart, by doubt": [[min(item.apart, key=lambda read: read.doubt)] for item in some],
        "apart, by both": [[max(item.apart, key=_both)] for item in some],
        "apart, any": [list(item.apart) for item in some],
    }
    right: dict[str, JSON] = {
        way: statistics.mean(
            any(read.found and squad.contains(read.text, query.answers or ()) for read in reads)
            for query, reads in zip(queries, chosen, strict=True)
        )
        for way, chosen in ways.items()
    }
    seconds: dict[str, JSON] = {
        "together, cold": statistics.median(item.together_cold_s for item in some),
        "together, hot": statistics.median(item.together_hot_s for item in some),
        "apart, cold": statistics.median(item.apart_cold_s for item in some),
        "apart, hot": statistics.median(item.apart_hot_s for item in some),
    }
    return {"questions": len(queries), "contains": right, "seconds": seconds}


def _both(read: Read) -> float:
    return math.log1p(-min(read.doubt, 1 - 1e-9)) + read.certainty


def _timed(
    model: Generator, question: str, shown: Sequence[Sequence[Passage]]
) -> tuple[list[Read], float]:
    """Answer from each of some lists of passages, all at a time."""
    started = time.perf_counter()
    with ThreadPoolExecutor(max_workers=len(shown)) as pool:
        reads = list(pool.map(lambda passages: _read(model, question, passages), shown))
    return reads, time.perf_counter() - started


def _read(model: Generator, question: str, passages: Sequence[Passage]) -> Read:
    messages = prompt.open_book(question, passages, family=prompt.FAMILIES[model.family])
    sampling = reply_sampling(Sampling(max_tokens=TOKENS, logprobs=1), reader=model.reader)
    with closing(model.begin(messages, sampling)) as session:
        deltas = list(session.deltas())
        told = [item.logprob for delta in deltas for item in delta.logprobs]
        text = "".join(delta.text for delta in deltas)
        return Read(text, session.doubt or 0.0, statistics.mean(told) if told else 0.0)


if __name__ == "__main__":
    sys.exit(main())
