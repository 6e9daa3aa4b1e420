"""Select the adapters that help most with a task, by K labelled questions.

K-shot selection (Yang et al. 2024, "Leveraging Open Knowledge for Advancing Task Expertise in Large
Language Models"): candidates are measured on the labelled questions. Of the candidates that help,
ones are chosen that differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from expertrag.api.errors import InvalidArgument, Unavailable
from expertrag.llm.base import Generator
from expertrag.llm.load.loading import model_files, quiet
from expertrag.llm.registry import load_generator
from expertrag_index.types import Progress
from expertrag_lab.data.resume import appending, read_results, work_through
from expertrag_lab.metrics.types import Estimate
from expertrag_lab.surgery.candidates.bank import TaskCandidate, candidates_of
from expertrag_lab.surgery.candidates.diverse import diverse
from expertrag_lab.surgery.candidates.labelled_figures import LabelledRows
from expertrag_lab.surgery.candidates.updates import cosines
from expertrag_lab.surgery.retrieved_prompts import PromptForm, RetrievedPrompt
from expertrag_lab.surgery.verification.held_answers import answer_held_out, fitting

_NOTHING = ""  # the digest of no candidate: the model without adapters, a reader's shared expert


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """How candidates are measured and chosen.

    :param choose: candidates to choose at most.
    :param diversity: what difference counts besides usefulness, in [0, 1]; see :func:`diverse`.
    :param most_tokens: of a greedy answer.
    """

    choose: int = 3
    diversity: float = 0.3
    most_tokens: int = 24
    dtype: str = "auto"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CandidateFigures:
    """A candidate on the labelled rows.

    :param folder: of an adapter; None for an expert of the model's reader.
    :param gain: how much likelier right tokens are than without it, nats.
    :param useful: mean of ``accuracy`` and of the probability of a right token.
    :param alike: largest cosine, without its sign, of its update with one chosen before it; None if
        it is not chosen.
    """

    name: str
    folder: Path | None
    accuracy: float
    log_probability: float
    gain: Estimate
    useful: float
    alike: float | None


@dataclass(frozen=True, slots=True)
class TaskSelection:
    """What was chosen for a task.

    :param rows: labelled rows that the model reads whole; ``too_long``: those left out.
    :param without: figures without any candidate: of the model, or its reader's shared expert.
    :param candidates: the most useful one first.
    :param chosen: names, in the order in which they were chosen; only of candidates that are more
        useful than none.
    :param serve: options of ``expertrag serve`` that load the adapters among them.
    :param keep: options of ``expertrag llm prune`` that keep the experts among them.
    """

    model: str
    rows: int
    too_long: int
    without: CandidateFigures
    candidates: tuple[CandidateFigures, ...]
    chosen: tuple[str, ...]
    serve: tuple[str, ...]
    keep: tuple[str, ...]


def select(
    model: str,
    prompts: Sequence[RetrievedPrompt],
    adapters: Mapping[str, Path],
    settings: SelectionSettings,
    work: Path,
    report: Progress,
) -> TaskSelection:
    """Measure the adapters of a model, and the experts of its reader, and choose some.

    :param model: as in :func:`expertrag.llm.load_generator`, run by our engine.
    :param prompts: the labelled rows, at least one with an answer.
    :param adapters: folders in peft's layout, by name.
    :param work: folder where the figures of each candidate are kept, for a run that is killed, and
        for the next one with other candidates.
    :raises NotFound: there is no such model, or a folder has no adapter.
    :raises InvalidArgument: there is no candidate, one cannot be served, or no prompt fits.
    :raises ServerError: files are damaged.
    """
    files = model_files(model)
    candidates = candidates_of(files, adapters)
    with quiet():
        generator = load_generator(model, dtype=settings.dtype)
    for item in candidates:
        if item.folder:
            generator.adapters.load(item.name, item.folder)
    form = PromptForm.of(generator)
    read = fitting([generator], prompts, form, settings.most_tokens)
    if not any(item.accepted for item in read):
        raise InvalidArgument("labelled: no row has an answer: give rows with right answers")
    rows = _measure(generator, form, candidates, read, settings, work, report)
    return _choose(generator.name, candidates, rows, settings, (len(read), len(prompts)))


def _measure(
    generator: Generator,
    form: PromptForm,
    candidates: Sequence[TaskCandidate],
    prompts: Sequence[RetrievedPrompt],
    settings: SelectionSettings,
    work: Path,
    report: Progress,
) -> dict[str, LabelledRows]:
    """Return the figures of each candidate by its digest, and those without any."""

    def rows_of(digest: str) -> tuple[str, LabelledRows]:
        item = items[digest]
        domain, adapter = (item.domain, item.adapter) if item else ("", "")
        asked = [replace(prompt, domain=domain) for prompt in prompts]
        answers = answer_held_out(generator, asked, form, settings.most_tokens, report, adapter)
        return digest, LabelledRows.of(prompts, answers)

    items = {_NOTHING: None, **{item.digest: item for item in candidates}}
    key = f"{generator.fingerprint} {settings.dtype} {settings.most_tokens} {form} {prompts}"
    path = work / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.jsonl"
    with appending(path) as file:
        known = read_results(path, _parse)
        names = {digest: digest for digest in items}
        failed = work_through(names, known, file, rows_of, _dump, "candidates", report)
    if failed:
        who = items[failed[0].id]
        name = who.name if who else generator.name
        raise Unavailable(f"{name} could not be measured ({failed[0].reason}): run this again")
    return {digest: known[digest][1] for digest in items}


def _choose(
    model: str,
    candidates: Sequence[TaskCandidate],
    rows: Mapping[str, LabelledRows],
    settings: SelectionSettings,
    counts: tuple[int, int],
) -> TaskSelection:
    """Choose among the candidates that are more useful than none."""
    none = rows[_NOTHING]
    better = [item for item in candidates if rows[item.digest].useful > none.useful]
    alike = cosines([item.updates for item in better])
    useful = [rows[item.digest].useful for item in better]
    places = diverse(useful, alike, settings.choose, settings.diversity)
    near = {
        better[place].name: float(abs(alike[place, list(places[:turn])]).max(initial=0.0))
        for turn, place in enumerate(places)
    }

    def figures(name: str, folder: Path | None, own: LabelledRows) -> CandidateFigures:
        gain = own.gain(none, settings.seed)
        told = own.accuracy, own.log_probability, gain, own.useful
        return CandidateFigures(name, folder, *told, near.get(name))

    shown = [figures(item.name, item.folder, rows[item.digest]) for item in candidates]
    picked = [better[place] for place in places]
    return TaskSelection(
        model,
        counts[0],
        counts[1] - counts[0],
        figures("", None, none),
        tuple(sorted(shown, key=lambda item: -item.useful)),
        tuple(near),
        _options("--adapter", [f"{item.name}={item.folder}" for item in picked if item.folder]),
        _options("--domain", [item.name for item in picked if not item.folder]),
    )


def _options(flag: str, values: Sequence[str]) -> tuple[str, ...]:
    return tuple(part for value in values for part in (flag, value))


Result = tuple[str, LabelledRows]


def _dump(result: Result) -> str:
    return json.dumps({"digest": result[0], **asdict(result[1])})


def _parse(item: Mapping[str, Any]) -> tuple[str, Result]:
    return item["digest"], (item["digest"], LabelledRows.parse(item))
