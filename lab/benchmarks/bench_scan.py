"""Time a question whose documents are read one by one: all of a folder of agreements in prose.

    python lab/benchmarks/bench_scan.py --json FILE

Writes agreements with known days of their end, builds a store, and asks which end in a year: once
cold, and once more with another year, for which the values are known. Right documents are counted.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import date, timedelta

import results_file
from many.prose import american_date, long_date
from many.stores import SERVICE, opened, prepare

from expertrag.answer.pipeline import Pipeline
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode
from expertrag.cli.progress import progress
from expertrag.llm.load.loading import quiet

MODEL = "qwen2.5-coder-1.5b-instruct"
YEARS = 2026, 2027
CODE = (*SERVICE, "lab/benchmarks/many", "lab/benchmarks/bench_scan.py")

_TEXTS = (
    "Agreement with {name}\n\n{name} cleans the offices of the company three times a week. The "
    "agreement was signed on {signed} and runs until {end}. Each side may end it with a notice "
    "of three months, in writing. The fee is {fee} EUR a month and is paid at its beginning.",
    "{name}: what we have agreed\n\nSince {signed}, {name} keeps our machines in repair. It comes "
    "within two days of a call. Parts are paid for separately, labour costs {fee} EUR a month. "
    "Unless we agree otherwise before, all this ends on {end}.",
    "Terms for {name}\n\n{name} delivers paper, ink and envelopes at the prices of its list of "
    "{signed}. We buy for at least {fee} EUR a month. The last delivery under these terms is on "
    "{end}; what is ordered later is invoiced at the prices of the day.",
)
_FIRST = ("North", "River", "Green", "Mill", "Harbour", "Oak", "Silver", "Summit", "Vale", "Ash")
_LAST = ("Services", "Works", "Supply", "Partners", "Trading", "Brothers", "Company", "Union")


@dataclass(frozen=True, slots=True)
class ScanTime:
    """A question about all agreements, and what its answer took.

    ``seconds`` to the last event; ``right`` and ``wrong``: documents among the rows.
    """

    question: str
    seconds: float
    expected: int
    right: int
    wrong: int


def main() -> None:
    """Measure, print the times, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--work")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--documents", type=int, default=100)
    given = parser.parse_args()
    ends, files = write_agreements(given.documents)
    with progress() as report, quiet():
        store = prepare(given.work / "scan", "agreements", files, report)
        with closing(opened(given.model, store)) as pipeline:
            times = [ask(pipeline, year, ends) for year in YEARS]
    for one in times:
        print(f"{one.seconds:6.1f} s  {one.right} of {one.expected}, {one.wrong} wrong")
    body = {"documents": given.documents, "times": [asdict(one) for one in times]}
    results_file.write(given.json, body, CODE)


def write_agreements(count: int) -> tuple[dict[str, date], dict[str, bytes]]:
    """Return the day on which each agreement ends, and its file."""
    draw = random.Random(7)
    names = [f"{first} {last}" for last in _LAST for first in _FIRST]
    names += [f"{name} {town}" for town in ("Leeds", "York", "Bath") for name in names]
    ends, files = {}, {}
    for name in draw.sample(names, count):
        end = date(2025, 1, 15) + timedelta(days=draw.randrange(1_400))
        write = draw.choice((long_date, american_date))
        signed = date(2020, 3, 1) + timedelta(days=draw.randrange(1_200))
        text = draw.choice(_TEXTS).format(
            name=name, signed=write(signed), end=write(end), fee=draw.randrange(100, 900)
        )
        path = f"agreements/{name.casefold().replace(' ', '_')}.txt"
        ends[path], files[path] = end, text.encode()
    return ends, files


def ask(pipeline: Pipeline, year: int, ends: dict[str, date]) -> ScanTime:
    """Ask which agreements end in a year."""
    question = f"Which agreements end in {year}?"
    started = time.perf_counter()
    answer = fold(pipeline.answer(AnswerRequest(question, mode=GateMode.ALWAYS)))
    seconds = time.perf_counter() - started
    sources: Sequence[Sequence[str]] = answer.table.sources if answer.table else ()
    named = {source.removeprefix("open/") for row in sources for source in row}
    expected = {path for path, end in ends.items() if end.year == year}
    return ScanTime(
        question, round(seconds, 2), len(expected), len(named & expected), len(named - expected)
    )


if __name__ == "__main__":
    main()
