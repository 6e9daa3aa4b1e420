"""Readers with one domain's expert beside the whole reader: answers, bytes and memory.

    python lab/benchmarks/eval_named_experts.py --data DATA --questions 40 --json FILE

``expertrag llm prune --domain`` drops the experts of the other domains. Test questions are answered
from their gold passages by the expert of their domain, before and after, and before also by
"shared", which answers for experts that are gone. Answers are the same if all of their tokens are,
and to the bit if the log probabilities are, too. Every model runs in a process of its own, one
question after the other; memory is what it holds after the first few answers.

    low-rank    the small reader, whose experts are low-rank updates
    mixture     the same, exported: each expert is a whole feed-forward network
    parallel    with --large: the large default model with its reader
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import results_file
from eval_reader import DOMAINS
from named_tables import named
from reader_questions import QuestionSet
from scale_measures import memory

from expertrag import models
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.reply import reply_sampling
from expertrag.api.types import Sampling
from expertrag.cli.progress import progress
from expertrag.llm import load_generator
from expertrag.llm.adapters.serving import load_adapters
from expertrag.llm.base import SHARED, Generator, Message
from expertrag.llm.load.loading import quiet
from expertrag_index.types import Progress
from expertrag_lab.convert.export import export
from expertrag_lab.surgery.changes.named_experts import prune_named
from expertrag_lab.train.reader.network import ANSWER_TOKENS

SMALL, BASE = "smollm2-135m-reader", "smollm2-135m-instruct-moe"
ANSWERED = 8  # questions before memory is read
CODE = (
    *results_file.ENGINE,
    "expertrag/llm/adapters",
    "lab/expertrag_lab/surgery/changes/named_experts.py",
    "lab/benchmarks/reader_questions.py",
    "lab/benchmarks/eval_named_experts.py",
)


@dataclass(frozen=True, slots=True)
class NamedQuestion:
    """A question's prompt, and whose expert answers it."""

    messages: Sequence[Mapping[str, str]]
    domain: str


@dataclass(frozen=True, slots=True)
class NamedReader:
    """A reader: a model with an attached one, or a model and the bundle that runs beside it."""

    model: Path
    bundle: Path | None = None

    @property
    def changed(self) -> Path:
        """What ``llm prune`` is given."""
        return self.bundle or self.model

    def with_experts_of(self, folder: Path) -> NamedReader:
        """Return the reader with what ``llm prune`` has written."""
        return NamedReader(self.model, folder) if self.bundle else NamedReader(folder)


def main() -> None:
    """Measure, print the table, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--questions", type=int, default=40, help="of each data set")
    parser.add_argument("--rounds", type=int, default=3, help="processes whose memory is read")
    parser.add_argument("--large", action="store_true", help="also the large default model")
    parser.add_argument("--forms", nargs="+", choices=("low-rank", "mixture"))
    given = parser.parse_args()
    found: dict[str, Any] = {"inputs": {"questions": given.questions, "tokens": ANSWER_TOKENS}}
    with tempfile.TemporaryDirectory() as scratch, progress() as report:
        bench = NamedExpertsBench(given, Path(scratch), report)
        found["forms"] = {name: bench.measured(name, item) for name, item in bench.readers()}
    print("\n".join(named(found)))
    results_file.write(given.json, found, CODE)


class NamedExpertsBench:
    """Runs readers on the questions of every domain."""

    def __init__(self, given: argparse.Namespace, scratch: Path, report: Progress) -> None:
        """Read the questions."""
        self._given, self._scratch, self._report = given, scratch, report
        self._asked: dict[str, list[NamedQuestion]] = {}
        for domain, names in DOMAINS.items():
            sets = [QuestionSet(given.data / name, given.questions).alone() for name in names]
            self._asked[domain] = [
                NamedQuestion([asdict(message) for message in item.messages], domain)
                for some in sets
                for item in some
            ]

    def readers(self) -> Iterator[tuple[str, NamedReader]]:
        """Yield the whole readers, by their form."""
        forms = self._given.forms or ("low-rank", "mixture")
        if "low-rank" in forms:
            yield "low-rank", NamedReader(models.path(SMALL))
        if "mixture" in forms:
            whole = self._scratch / "exported"
            export(models.resolve(BASE), models.reader_folder(SMALL), whole, pinned=True)
            yield "mixture", NamedReader(whole)
        if self._given.large:
            yield "parallel", NamedReader(models.path(models.LARGE), models.reader_of(models.LARGE))

    def measured(self, form: str, whole: NamedReader) -> dict[str, Any]:
        """Compare a whole reader with those of one domain."""
        asked = [item for some in self._asked.values() for item in some]
        shared = [NamedQuestion(item.messages, SHARED) for item in asked]
        stage = f"{form}: whole"
        both = self._run(stage, whole, [*asked, *shared])["answers"]
        own, fallback = both[: len(asked)], both[len(asked) :]
        before = self._memory(stage, whole)
        domains = {}
        for domain in self._asked:
            out = self._scratch / f"{form}-{domain}"
            made = prune_named(str(whole.changed), [domain], out)
            reader = whole.with_experts_of(out)
            answers = self._run(f"{form}: {domain}", reader, asked)["answers"]
            rows = list(zip([item.domain for item in asked], own, fallback, answers, strict=True))
            kept = [(old, new) for name, old, _, new in rows if name == domain]
            others = [(old, back, new) for name, old, back, new in rows if name != domain]
            domains[domain] = {
                "experts": made.experts,
                "questions": len(kept),
                "same": _share(_tokens(old) == _tokens(new) for old, new in kept),
                "same_to_the_bit": _share(old == new for old, new in kept),
                "others": len(others),
                "others_as_shared": _share(back == new for _, back, new in others),
                "others_as_before": _share(_tokens(old) == _tokens(new) for old, _, new in others),
                "bytes_before": made.before,
                "bytes_after": made.after,
                "memory": self._memory(f"{form}: {domain}", reader),
            }
        return {"memory": before, "domains": domains}

    def _memory(self, stage: str, reader: NamedReader) -> dict[str, float]:
        """Return medians of what processes hold after the first answers."""
        asked = next(iter(self._asked.values()))[:ANSWERED]
        runs = [self._run(stage, reader, asked) for _ in range(self._given.rounds)]
        held = [{**run["memory"], "weights": run["weights"]} for run in runs]
        return {name: statistics.median(each[name] for each in held) for name in held[0]}

    def _run(self, stage: str, reader: NamedReader, asked: Sequence[NamedQuestion]) -> Any:
        self._report(f"{stage}, {len(asked)} answers", 0, None)
        task = self._scratch / "task.json"
        body = {
            "model": str(reader.model),
            "bundle": str(reader.bundle) if reader.bundle else None,
            "asked": [asdict(item) for item in asked],
        }
        task.write_text(json.dumps(body), encoding="utf-8")
        command = [sys.executable, __file__, "--one", str(task)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)


def one(task: Mapping[str, Any]) -> dict[str, Any]:
    """Answer questions; return tokens and log probabilities of each answer, and memory."""
    with quiet():
        adapters = load_adapters(Path(task["bundle"])) if task["bundle"] else None
        generator = load_generator(task["model"], adapters=adapters)
    answers = [_answer(generator, item) for item in task["asked"]]
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what loading has freed
    use = generator.weights()
    assert use is not None, "our engine runs it"
    return {"answers": answers, "memory": memory(), "weights": float(use.total.bytes)}


def _answer(generator: Generator, item: Mapping[str, Any]) -> list[tuple[str, float]]:
    sampling = reply_sampling(
        Sampling(ANSWER_TOKENS, logprobs=1), reader=ReadingPolicy.of(generator).reader
    )
    messages = [Message(**message) for message in item["messages"]]
    policy = generator.make_policy(sampling, item["domain"])
    with closing(generator.begin(messages, sampling, policy=policy, from_passages=True)) as session:
        return [
            (token.text, token.logprob) for delta in session.deltas() for token in delta.logprobs
        ]


def _tokens(answer: Sequence[tuple[str, float]]) -> list[str]:
    return [token for token, _ in answer]


def _share(equal: Iterator[bool]) -> float:
    found = list(equal)
    return sum(found) / len(found)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:  # a run, in a process of its own
        print(json.dumps(one(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))))
    else:
        main()
