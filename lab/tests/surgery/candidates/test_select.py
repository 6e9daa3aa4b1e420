"""The adapter whose answers are the labels is found, among adapters and experts of a reader."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_fixtures import LoraBase
from lora_folders import merged, write_lora
from profile_samples import rows
from reader_samples import write_llama, write_reader
from transformers import AutoModelForCausalLM, AutoTokenizer

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.llm import load_generator
from expertrag.llm.base import Generator
from expertrag.llm.convert.attach import attach
from expertrag.llm.load.chat import ChatTokenizer
from expertrag_index.types import silent
from expertrag_lab.metrics.squad import normalise
from expertrag_lab.surgery.candidates.open_rows import add_rows
from expertrag_lab.surgery.candidates.select import SelectionSettings, TaskSelection, select
from expertrag_lab.surgery.retrieved_prompts import PromptForm, RetrievedPrompt, parse_prompt
from expertrag_lab.surgery.verification.held_answers import answer_held_out
from expertrag_retriever.encoder import SentenceTransformerEmbedder

_TOKENS = 8
_EXACT = SelectionSettings(dtype="float32", most_tokens=_TOKENS)


def _prompts() -> list[RetrievedPrompt]:
    return [parse_prompt(row, str(row["id"])) for row in rows(8, domain="", words=9)]


def _labelled_by(
    generator: Generator, adapter: str = "", domain: str = ""
) -> list[RetrievedPrompt]:
    """Prompts whose right answers are those of an adapter, or of an expert."""
    asked = [replace(item, domain=domain) for item in _prompts()]
    form = PromptForm.of(generator)
    answers = answer_held_out(generator, asked, form, _TOKENS, silent, adapter)
    return [
        replace(item, domain="", answer=text, accepted=(text,), cited=answer.reply.cited)
        for item, answer in zip(asked, answers, strict=True)
        if normalise(text := answer.reply.answer) and answer.reply.has_answer
    ]


@pytest.fixture(scope="module")
def labelled(lora_base: LoraBase) -> list[RetrievedPrompt]:
    """Rows that the adapter "legal" answers right."""
    found = _labelled_by(lora_base.generator("legal"), "legal")
    assert len(found) >= 4
    return found


@pytest.fixture(scope="module")
def twin(lora_base: LoraBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that is nearly "legal"."""
    load: Any = AutoModelForCausalLM.from_pretrained
    folder = tmp_path_factory.mktemp("twin") / "twin"
    return write_lora(folder, load(lora_base.folder), strength=0.29)


def _selected(
    base: LoraBase, prompts: Sequence[RetrievedPrompt], work: Path, **more: Any
) -> TaskSelection:
    adapters = more.pop("adapters", base.adapters)
    settings = replace(_EXACT, **more)
    return select(str(base.folder), prompts, adapters, settings, work, silent)


def test_the_adapter_that_knows_the_answers_is_chosen(
    lora_base: LoraBase, labelled: list[RetrievedPrompt], tmp_path: Path
) -> None:
    found = _selected(lora_base, labelled, tmp_path)
    assert found.rows == len(labelled) and found.too_long == 0
    best, other = found.candidates
    assert (best.name, other.name) == ("legal", "medical")
    assert best.accuracy == 1.0 > other.accuracy
    assert best.log_probability > max(other.log_probability, found.without.log_probability)
    assert best.gain.low < best.gain.mean < best.gain.high and best.gain.n == found.rows
    assert best.gain.mean == pytest.approx(best.log_probability - found.without.log_probability)
    assert best.useful == pytest.approx((1 + math.exp(best.log_probability)) / 2)
    assert found.chosen[0] == "legal" and best.alike == 0.0
    assert found.serve[:2] == ("--adapter", f"legal={lora_base.adapters['legal']}")
    assert found.keep == ()


def test_right_answers_are_as_likely_as_in_the_merged_model(
    lora_base: LoraBase, labelled: list[RetrievedPrompt], tmp_path: Path
) -> None:
    found = {item.name: item for item in _selected(lora_base, labelled, tmp_path).candidates}
    load: Any = AutoModelForCausalLM.from_pretrained
    base = load(lora_base.folder, dtype=torch.float32)
    chat = ChatTokenizer(AutoTokenizer.from_pretrained(lora_base.folder))
    form = PromptForm.of(lora_base.generator())
    for name, folder in lora_base.adapters.items():
        model = merged(base, folder)
        means = []
        for prompt in labelled:
            asked = chat.encode(form.messages(prompt))
            told = [*chat.encode_text(form.right(prompt) or ""), base.config.eos_token_id]
            with torch.inference_mode():
                logits = model(torch.tensor([[*asked, *told]])).logits[0, len(asked) - 1 : -1]
            likely = logits.log_softmax(-1).gather(1, torch.tensor(told)[:, None])
            means.append(float(likely.mean()))
        assert found[name].log_probability == pytest.approx(sum(means) / len(means), abs=1e-3)


def test_twins_are_chosen_where_diversity_does_not_count(
    lora_base: LoraBase, labelled: list[RetrievedPrompt], twin: Path, tmp_path: Path
) -> None:
    adapters = {**lora_base.adapters, "twin": twin}
    found = _selected(lora_base, labelled, tmp_path, adapters=adapters, choose=2, diversity=0.0)
    assert set(found.chosen) == {"legal", "twin"}
    alike = {item.name: item.alike for item in found.candidates}
    assert alike[found.chosen[0]] == 0.0 and alike["medical"] is None
    assert alike[found.chosen[1]] == pytest.approx(1.0)


def test_a_killed_run_and_other_candidates_measure_only_what_is_missing(
    lora_base: LoraBase, labelled: list[RetrievedPrompt], twin: Path, tmp_path: Path
) -> None:
    first = _selected(lora_base, labelled, tmp_path)
    (kept,) = tmp_path.iterdir()
    lines = kept.read_bytes().splitlines(keepends=True)
    assert len(lines) == 3  # without, legal, medical
    kept.write_bytes(lines[0] + lines[1] + lines[2][:9])
    stages: list[str] = []

    def report(stage: str, done: int, total: int | None) -> None:
        stages.append(stage)

    adapters = {**lora_base.adapters, "twin": twin}
    second = select(str(lora_base.folder), labelled, adapters, _EXACT, tmp_path, report)
    assert sum(stage == "candidates" for stage in stages) == 3  # medical, twin, the end
    assert kept.read_bytes().splitlines(keepends=True)[:3] == lines
    again = {item.name: item for item in second.candidates}
    for item in first.candidates:
        assert replace(again[item.name], alike=None) == replace(item, alike=None)


def test_candidates_that_do_not_help_are_not_chosen(lora_base: LoraBase, tmp_path: Path) -> None:
    labelled = _labelled_by(lora_base.generator())
    found = _selected(lora_base, labelled, tmp_path)
    assert found.without.accuracy == 1.0
    assert found.chosen == found.serve == ()
    assert all(item.gain.mean < 0 and item.alike is None for item in found.candidates)


def test_experts_of_a_reader_are_candidates(smollm_path: Path, tmp_path: Path) -> None:
    base = write_llama(tmp_path / "base", smollm_path)
    bundle = write_reader(tmp_path / "reader", base, domains=("legal", "tax"), seed=3)
    attach(str(base), bundle, tmp_path / "model")
    labelled = _labelled_by(load_generator(str(tmp_path / "model"), dtype="float32"), domain="tax")
    found = select(str(tmp_path / "model"), labelled, {}, _EXACT, tmp_path / "work", silent)
    assert {item.name for item in found.candidates} == {"legal", "tax"}
    assert found.candidates[0].name == "tax" and found.candidates[0].accuracy == 1.0
    assert found.chosen[0] == "tax" and found.keep[:2] == ("--domain", "tax")
    assert found.serve == ()
    with pytest.raises(InvalidArgument, match="has experts called tax; give"):
        taken = {"tax": tmp_path}
        select(str(tmp_path / "model"), labelled, taken, _EXACT, tmp_path / "work", silent)


def test_what_cannot_be_selected_from(
    lora_base: LoraBase, labelled: list[RetrievedPrompt], tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgument, match="add --adapter NAME=FOLDER"):
        _selected(lora_base, labelled, tmp_path, adapters={})
    with pytest.raises(NotFound, match="has no adapter_config"):
        _selected(lora_base, labelled, tmp_path, adapters={"none": tmp_path})
    unanswered = [replace(item, answer=None, accepted=()) for item in labelled]
    with pytest.raises(InvalidArgument, match="no row has an answer"):
        _selected(lora_base, unanswered, tmp_path)


def test_open_rows_are_written_as_they_are(
    embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    asked = {
        "near": "When was the painter Ada Berg born?",
        "again": "When was the painter Ada Berg born ?",
        "also near": "In which year did the sculptor Boris Lund die?",
        "far": "How do I archive a folder with tar?",
    }
    items = [
        {"id": name, "question": text, "passages": ["A passage."], "answer": "1900", "mine": name}
        for name, text in asked.items()
    ]
    source = tmp_path / "open.jsonl"
    source.write_text("".join(f"{json.dumps(item)}\n" for item in items), encoding="utf-8")
    labelled = [parse_prompt(row, "x") for row in rows(3)]
    embed = embedder.encode_queries
    made = add_rows(labelled, source, tmp_path / "added.jsonl", 2, embed, silent)
    written = [json.loads(line) for line in made.file.read_text("utf-8").splitlines()]
    by_name = {item["id"]: item for item in items}
    assert (made.read, made.rows) == (4, 2)
    assert written == [by_name[item["id"]] for item in written]
    assert {"near", "again"} & {item["id"] for item in written}
    assert written[-1]["id"] == "also near"
    assert made.nearest is not None and made.farthest is not None
    assert 1 > made.nearest > made.farthest > 0
