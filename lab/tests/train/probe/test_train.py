"""Training a probe with a tiny reader: what is written, resumed and rejected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from expertrag.answer.assemble import open_generator
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.config import NO_PROBE, ModelConfig
from expertrag.llm import prompt
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message
from expertrag.llm.probe import STRICT_FROM, load_probe
from expertrag.llm.watching import Watched
from expertrag_index.types import silent
from expertrag_lab.train.probe.prompts import ProbeSet, probe_sets
from expertrag_lab.train.probe.recipe import FULL
from expertrag_lab.train.probe.states import messages_of
from expertrag_lab.train.probe.train import train_probe
from expertrag_retriever.errors import OutputTakenError

RECIPE = replace(FULL, dev_searches=4)


@pytest.fixture(scope="module")
def generator(tiny_reader: Path) -> TransformersGenerator:
    opened = open_generator(ModelConfig(generator=str(tiny_reader), probe=NO_PROBE))
    assert isinstance(opened, TransformersGenerator)
    return opened


@pytest.fixture(scope="module")
def births(dataset: Path) -> ProbeSet:
    (found,) = probe_sets({"encyclopedia": (dataset,)}, RECIPE, {}, {})
    return found


def test_a_trained_probe_is_served(
    generator: TransformersGenerator, births: ProbeSet, tiny_reader: Path, tmp_path: Path
) -> None:
    out = tmp_path / "probe"
    report = train_probe([births], generator, out, silent, command="again", licence="MIT")
    (reported,) = report.sets
    assert reported.prompts == len(births.train) and reported.dev_prompts == len(births.dev)
    assert reported.left_out is not None and reported.abstains is not None
    assert not out.with_name("probe.partial").exists()
    served = open_generator(ModelConfig(generator=str(tiny_reader), probe=str(out)))
    assert ReadingPolicy.of(served).probe == load_probe(out).digest
    assert ReadingPolicy.of(served).strict_from == STRICT_FROM
    body = json.loads((out / "probe.json").read_text())
    assert body["training"]["sets"][0]["sha256"] == births.sha256
    card = (out / "README.md").read_text()
    assert "again" in card and "license: mit" in card
    texts = [passage.text for item in births.train for passage in item.passages]
    written = card + (out / "probe.json").read_text()
    assert not any(text in written for text in texts)


def test_states_are_computed_on_the_served_prompts(
    generator: TransformersGenerator, births: ProbeSet
) -> None:
    (system, _) = messages_of(births.train[0], generator)
    assert system.content == prompt.FAMILIES[generator.family].open_book


def test_an_interrupted_training_is_resumed(
    generator: TransformersGenerator,
    births: ProbeSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = 0
    watch = generator.watch

    def counted(messages: Sequence[Message]) -> tuple[Watched, float]:
        nonlocal asked
        asked += 1
        return watch(messages)

    def killed(_stage: str, done: int, _total: int | None) -> None:
        if done == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(generator, "watch", counted)
    out = tmp_path / "probe"
    with pytest.raises(KeyboardInterrupt):
        train_probe([births], generator, out, killed, command="", licence="MIT")
    assert 0 < asked <= 20 and not out.exists()
    (kept,) = out.with_name("probe.partial").glob("states-*.jsonl")
    with kept.open("a") as file:
        file.write('{"prompt": "torn')
    train_probe([births], generator, out, silent, command="", licence="MIT")
    prompts = (*births.train, *births.dev)
    assert asked == len({repr(messages_of(item, generator)) for item in prompts})
    first = load_probe(out)
    train_probe([births], generator, tmp_path / "other", silent, command="", licence="MIT")
    assert load_probe(tmp_path / "other").digest == first.digest


def test_an_existing_folder_is_not_overwritten(
    generator: TransformersGenerator, births: ProbeSet, tmp_path: Path
) -> None:
    (tmp_path / "probe").mkdir()
    with pytest.raises(OutputTakenError, match="was created meanwhile"):
        train_probe([births], generator, tmp_path / "probe", silent, command="", licence="MIT")
