"""End-to-end evaluation of language models: answers through the whole system, on test splits.

    python lab/benchmarks/eval_answers.py --data DATA --json FILE

Every answer comes from the pipeline as served: the five best passages of hybrid search over a store
of the data set's corpus, greedy decoding, at most 25 tokens. The models run in turn, and each is
compared with the first one. Answers are cached, see ``served_answers.py``.

    found       ALWAYS: the reply contains an accepted answer; the reply is one (exact); of TAT-QA
                also the calculations: the reply begins with the number
    citations   of the same answers: share that points at a passage with an accepted answer, or also
                at one judged relevant, such as the first hop of a two-hop question
    abstention  squad2, questions that the passages do not answer, compared with those that they do
    policies    never, always and auto, with equal numbers of questions of the data sets, of openqa,
                which no store was made for, and of everyday requests: right answers, searches,
                seconds

``--small`` asks 20 questions per data set. ``--dev`` asks those of the train split that no reader
is trained on; choices are made on these, never on test questions. ``--reader FOLDER`` adds a reader
to the last model.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean as mean_of

import results_file
from reader_figures import HEADER, Figure, areas, mean, means, shares
from served_answers import AnswerCache, ServedAnswer, SourcedQuestion

from expertrag.api.types import GateMode
from expertrag.cli.progress import progress
from expertrag.config import AUTO_PROBE, NO_READER, Config
from expertrag.llm.load.loading import quiet
from expertrag.llm.prompt import Reply
from expertrag_index.types import Progress
from expertrag_lab.data.datasets import Dataset, Query, load_dataset, sample
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.serving import Opened, open_pipeline_for
from expertrag_lab.metrics import squad
from expertrag_lab.train.reader.material import is_dev

MODELS = ("smollm2-135m-reader", "qwen2.5-coder-1.5b-instruct")
SETS = ("squad2", "hotpotqa", "popqa", "pubmedqa", "tatqa")
LEFT_OUT = ("policyqa",)
"""Data sets that no shipped reader was trained on."""
UNANSWERABLE, POLICIES = "squad2", "policies"
CALCULATED, ARITHMETIC = "tatqa", "tatqa arithmetic"
QUESTIONS, FEW = 100, 20
CONTAINS = {"squad2": 0.90, "hotpotqa": 0.60, "popqa": 0.85, "pubmedqa": 0.65, "tatqa": 0.70}
EXACT = {"squad2": 0.60}
_HERE = Path(__file__).parent

Asked = tuple[list[Query], dict[GateMode, list[ServedAnswer]]]
CODE = (
    *results_file.ANSWERS,
    "lab/benchmarks/eval_answers.py",
    "lab/benchmarks/served_answers.py",
    "lab/benchmarks/reader_figures.py",
)


def main() -> None:
    """Ask the questions, print the comparison, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--models", nargs="+", default=MODELS, help="models; the first is the base")
    parser.add_argument("--sets", nargs="+", choices=(*SETS, *LEFT_OUT), default=SETS)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="questions per data set")
    parser.add_argument("--policies", type=int, help="questions per kind for policies, if fewer")
    parser.add_argument("--small", action="store_true", help=f"{FEW} questions per data set")
    parser.add_argument("--dev", action="store_true", help="use dev questions of the train split")
    parser.add_argument("--reader", default=NO_READER, help="reader for the last model")
    given = parser.parse_args()
    count = FEW if given.small else given.questions
    with progress() as report, quiet():
        found = [asked(name, given, count, report) for name in given.models]
    answers, inputs = [item for item, _ in found], [item for _, item in found]
    figures = compared(answers[0], answers[-1], given.parts)
    for part, some in figures.items():
        print("\n".join((f"\n{part}\n", HEADER, *(figure.row for figure in some))))
    body = {
        "inputs": {"models": inputs, "questions": count, "policies": given.policies or count},
        "figures": {part: list(map(asdict, some)) for part, some in figures.items()},
    }
    results_file.write(given.json, body, CODE)


def cache_of(opened: Opened, dataset: Dataset, work: Path) -> AnswerCache:
    """Return the answers of a pipeline to questions about a data set, as measured here."""
    return AnswerCache(opened.pipeline, dataset.name, opened.inputs, work / "answers")


def sourced(dataset: Dataset, query: Query) -> SourcedQuestion:
    """Return a question with the documents that are judged relevant to it."""
    return SourcedQuestion(dataset.name, query, dataset.relevant(query.id))


def asked(
    model: str, given: argparse.Namespace, count: int, report: Progress
) -> tuple[dict[str, Asked], dict[str, JSON]]:
    """Ask one model all questions; return the answers by set, and what they depend on."""
    last = model == given.models[-1]
    config = config_of(model, given.reader if last else NO_READER)
    found: dict[str, Asked] = {}
    inputs: dict[str, JSON] = {}
    split = "train" if given.dev else "test"
    few = given.policies or count
    elsewhere = {
        "openqa": list(sample(load_dataset(given.data / "openqa", split).queries, few, 0)),
        "everyday": list(sample(load_dataset(_HERE / "everyday", "test").queries, few, 0)),
    }
    for place, name in enumerate(given.sets):
        dataset = load_dataset(given.data / name, split)
        with open_pipeline_for(dataset, config, given.work, report) as opened:
            cache = cache_of(opened, dataset, given.work)
            inputs[name] = {**cache.inputs, "queries": dataset.sha256}
            some = {name: answerable(dataset, count, dev=given.dev)}
            if name == UNANSWERABLE:
                some[f"{name} unanswerable"] = unanswerable(dataset, count, dev=given.dev)
            if name == CALCULATED:
                some[ARITHMETIC] = answerable(dataset, count, dev=given.dev, kind="arithmetic")
            if "policies" in given.parts:
                some[f"{POLICIES}: {name}"] = some[name][:few]
                for kind, queries in elsewhere.items():
                    some[f"{POLICIES}: {kind}, {name}"] = queries[place :: len(given.sets)]
            for kind, queries in some.items():
                modes = [mode for mode in GateMode if wanted(kind, mode, given.parts)]
                sources = [sourced(dataset, query) for query in queries]
                # one mode after the other: a second mode would find the first one's prefixes
                found[kind] = (
                    queries,
                    {mode: cache.ask(sources, (mode,), report)[mode] for mode in modes},
                )
    return found, inputs


def config_of(model: str, reader: str = NO_READER, probe: str = AUTO_PROBE) -> Config:
    """Return the default configuration with this language model, reader and probe."""
    config = Config()
    chosen = replace(config.model, generator=model, reader=reader, probe=probe)
    return replace(config, model=chosen)


def wanted(kind: str, mode: GateMode, parts: Sequence[str]) -> bool:
    """Whether a kind of questions is asked in a mode."""
    if kind.startswith(POLICIES):
        return mode is not GateMode.STRICT
    if mode is GateMode.STRICT:
        return kind.startswith(UNANSWERABLE) and "abstention" in parts
    return mode is GateMode.ALWAYS


def answerable(
    dataset: Dataset, count: int, *, dev: bool = False, kind: str = "span"
) -> list[Query]:
    """Draw judged questions with accepted answers; for TAT-QA those whose answer is of a kind."""
    queries = [
        query for query in dataset.judged if query.answers and (not dev or is_dev(query, dataset))
    ]
    if dataset.name == CALCULATED:
        queries = [query for query in queries if query.metadata.get("answer_type") == kind]
    return list(sample(queries, count, 0))


def unanswerable(dataset: Dataset, count: int, *, dev: bool = False) -> list[Query]:
    """Draw questions that the corpus does not answer."""
    queries = [
        query
        for query in dataset.queries
        if query.answers == () and (not dev or is_dev(query, dataset))
    ]
    return list(sample(queries, count, 0))


def compared(
    before: Mapping[str, Asked], after: Mapping[str, Asked], parts: Sequence[str]
) -> dict[str, list[Figure]]:
    """Compare two models, part by part."""
    return {part: PARTS[part](before, after) for part in parts}


def found(before: Mapping[str, Asked], after: Mapping[str, Asked]) -> list[Figure]:
    """Figures of right answers from the five best passages."""
    figures = []
    for name in [name for name in (*SETS, *LEFT_OUT) if name in after]:
        both = before[name], after[name]
        verdicts = name == "pubmedqa"
        figure = means(
            f"{name}, {'verdict' if verdicts else 'contains'}",
            *(scores(item, judged if verdicts else contains) for item in both),
        )
        figures.append(figure.at_least(CONTAINS[name]) if name in CONTAINS else figure)
        if verdicts:
            continue
        figure = means(f"{name}, exact", *(scores(item, exact) for item in both))
        figures.append(figure.at_least(EXACT[name]) if name in EXACT else figure)
        shown = [float(said.shown) for said in after[name][1][GateMode.ALWAYS]]
        figures.append(mean(f"{name}, a passage holds an answer", shown))
    if ARITHMETIC in after:
        rights = [scores(item[ARITHMETIC], computed) for item in (before, after)]
        figures.append(means(f"{ARITHMETIC}, right", *rights).at_least(0.50))
    return figures


def citations(before: Mapping[str, Asked], after: Mapping[str, Asked]) -> list[Figure]:
    """Figures of citations; verdicts are left out, since no passage contains them."""
    figures = []
    for name in [name for name in (*SETS, *LEFT_OUT) if name in after and name != "pubmedqa"]:
        given = [
            [said for said in item[name][1][GateMode.ALWAYS] if not said.abstained]
            for item in (before, after)
        ]
        holding = ([said.citations for said in some] for some in given)
        figure = shares(f"{name}, citations that hold the answer", *holding)
        figures.append(figure.at_least(0.92) if name in SETS else figure)
        right = ([said.right_citations for said in some] for some in given)
        figures.append(shares(f"{name}, citations that hold it or are judged", *right))
        figures.append(
            means(
                f"{name}, answers that cite",
                *(
                    [float(bool(said.cited)) for said in item[name][1][GateMode.ALWAYS]]
                    for item in (before, after)
                ),
            )
        )
    return figures


def abstention(before: Mapping[str, Asked], after: Mapping[str, Asked]) -> list[Figure]:
    """Figures of abstention on questions that the passages do not answer."""
    if UNANSWERABLE not in after:
        return []
    names = f"{UNANSWERABLE} unanswerable", UNANSWERABLE
    modes = GateMode.ALWAYS, GateMode.STRICT
    both = before, after
    doubts = [
        [1 - (said.p_sufficient or 0.0) for name in names for said in item[name][1][modes[0]]]
        for item in both
    ]
    labels = [name == names[0] for name in names for _ in after[name][0]]
    figures = [areas("AUROC of abstention", doubts[0], doubts[1], labels).at_least(0.80)]
    for mode in modes:
        for name in names:
            rates = ([float(said.abstained) for said in item[name][1][mode]] for item in both)
            figure = means(f"{mode} abstains, {name}", *rates)
            if mode is GateMode.STRICT:
                lost = name != UNANSWERABLE
                figure = figure.at_least(0.85) if lost else figure.at_most(0.12)
            figures.append(figure)
    return figures


def policies(before: Mapping[str, Asked], after: Mapping[str, Asked]) -> list[Figure]:
    """Figures of never, always and auto: accuracy where scorable, searches and seconds over all."""
    kinds = [name for name in after if name.startswith(POLICIES)]
    both = before, after

    def rights(answers: Mapping[str, Asked], mode: GateMode) -> list[float]:
        return [right for name in kinds for right in scores(answers[name], judged, mode)]

    def said(answers: Mapping[str, Asked], mode: GateMode) -> list[ServedAnswer]:
        return [item for name in kinds for item in answers[name][1][mode]]

    figures = []
    for mode in (GateMode.NEVER, GateMode.ALWAYS, GateMode.AUTO):
        searches = [[float(item.retrieved) for item in said(some, mode)] for some in both]
        seconds = [[item.seconds for item in said(some, mode)] for some in both]
        figures += [
            means(f"{mode}: right", *(rights(some, mode) for some in both)),
            means(f"{mode}: searches", *searches),
            means(f"{mode}: seconds", *seconds),
        ]
        if mode is GateMode.AUTO:
            figures[-2] = figures[-2].at_most(0.70)
    gained = [
        [
            auto - always
            for auto, always in zip(
                rights(some, GateMode.AUTO), rights(some, GateMode.ALWAYS), strict=True
            )
        ]
        for some in both
    ]
    always = [mean_of([item.seconds for item in said(some, GateMode.ALWAYS)]) for some in both]
    shares_of_time = [
        [item.seconds / seconds for item in said(some, GateMode.AUTO)]
        for some, seconds in zip(both, always, strict=True)
    ]
    closed = [
        float(judged(item, query))
        for name in kinds
        if name.startswith(f"{POLICIES}: everyday")
        for query, item in zip(after[name][0], after[name][1][GateMode.AUTO], strict=True)
        if query.answers and not item.retrieved
    ]
    return [
        *figures,
        means("auto: right, less those of always", *gained).at_least(-0.01),
        means("auto: seconds by those of always", *shares_of_time).at_most(0.80),
        mean("auto: everyday facts answered closed book, right", closed).at_least(0.90),
    ]


def scores(
    asked: Asked, score: Callable[[ServedAnswer, Query], bool], mode: GateMode = GateMode.ALWAYS
) -> list[float]:
    """Score the answers to questions with accepted answers."""
    pairs: Sequence[tuple[Query, ServedAnswer]] = list(zip(asked[0], asked[1][mode], strict=True))
    return [float(score(said, query)) for query, said in pairs if query.answers]


def contains(said: ServedAnswer, query: Query) -> bool:
    """Whether the reply contains an accepted answer."""
    return squad.contains(said.text, query.answers or ())


def computed(said: ServedAnswer, query: Query) -> bool:
    """Whether the first number of the reply is an accepted answer, to its last decimal or .2 %."""
    match = re.search(r"-?\d[\d,]*(?:\.\d+)?", said.text)
    number = float(match[0].replace(",", "")) if match else math.nan
    accepted = [float(text.replace(",", "")) for text in query.answers or ()]
    return any(abs(number - each) <= max(0.0051, 0.002 * abs(each)) for each in accepted)


def exact(said: ServedAnswer, query: Query) -> bool:
    """Whether the reply without its markers is an accepted answer."""
    return squad.exact_match(Reply.of(said.text).answer, query.answers or ())


def judged(said: ServedAnswer, query: Query) -> bool:
    """Whether an answer is right, for any kind of question."""
    return squad.right(said.text, query.answers or ())


PARTS: Mapping[str, Callable[[Mapping[str, Asked], Mapping[str, Asked]], list[Figure]]] = {
    "found": found,
    "citations": citations,
    "abstention": abstention,
    "policies": policies,
}


if __name__ == "__main__":
    main()
