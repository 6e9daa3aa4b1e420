"""Prompts from files, and their tokens as a server runs them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from file_helper import change_json, write_lines
from profile_samples import rows, write_tiny_mixture

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.api.types import Sampling
from expertrag.llm import prompt as prompts
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.load.chat import ChatTokenizer
from expertrag_lab.surgery.profiling.traffic import ServedTokens, TrafficPrompt, draw, read_traffic


@pytest.fixture(scope="module")
def folder(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny mixture."""
    return write_tiny_mixture(tmp_path_factory.mktemp("models") / "mixture", smollm_path)


@pytest.fixture(scope="module")
def generator(folder: Path) -> TransformersGenerator:
    """The same, as it is served."""
    return TransformersGenerator.load(str(folder), dtype="float32", native=False)


def _read(tmp_path: Path, *items: dict[str, Any], **options: str) -> tuple[TrafficPrompt, ...]:
    return read_traffic(write_lines(tmp_path / "rows.jsonl", items), "given", **options)


def _served(generator: TransformersGenerator, most_tokens: int = 16) -> ServedTokens:
    return ServedTokens(generator, generator._chat, most_tokens)


def test_rows_are_read(tmp_path: Path) -> None:
    known, *_ = plain = rows(3)
    unknown = {name: value for name, value in plain[1].items() if name not in ("answer", "domain")}
    found = _read(tmp_path, known, unknown, {**plain[2], "answer": None})
    assert [item.known for item in found] == [True, False, True]
    assert [item.domain for item in found] == ["births", "given", "births"]
    assert found[0].prompt.answer == "1900" and found[2].prompt.answer is None
    assert [p.title for p in found[0].prompt.passages] == ["Person 0", "Nobody"]
    by_key = _read(tmp_path, {**known, "team": "tax"}, known, domain_key="team")
    assert [item.domain for item in by_key] == ["tax", "given"]


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"question": " "}, "question is not a text"),
        ({"passages": []}, "passages is empty"),
        ({"answer": 3}, "answer is neither"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, Any], reported: str) -> None:
    with pytest.raises(InvalidArgument, match=f"line 2: {reported}.*a row is"):
        _read(tmp_path, rows(1)[0], {**rows(1)[0], **change})


def test_files_without_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="check the path"):
        read_traffic(tmp_path / "none.jsonl", "given")
    with pytest.raises(InvalidArgument, match="has no rows"):
        _read(tmp_path)
    (tmp_path / "rows.jsonl").write_text("[1]\n")
    with pytest.raises(InvalidArgument, match="line 1 is not a JSON object"):
        read_traffic(tmp_path / "rows.jsonl", "given")


def test_a_limit_is_of_each_domain(tmp_path: Path) -> None:
    found = _read(tmp_path, *rows(9), *rows(2, "deaths"))
    few, more = (draw(found, limit, 3) for limit in (2, 4))
    assert [item.domain for item in few] == ["births"] * 2 + ["deaths"] * 2
    assert {item.prompt.id for item in few} < {item.prompt.id for item in more}
    assert {item.prompt.id for item in draw(found, None, 3)} == {p.prompt.id for p in found}
    assert draw(found, 4, 3) == more != draw(found, 4, 4)


def test_tokens_are_those_of_prompt_and_answer(
    generator: TransformersGenerator, tmp_path: Path
) -> None:
    (item,) = _read(tmp_path, rows(1)[0])
    asked = prompts.open_book(item.prompt.question, item.prompt.passages)
    chat: ChatTokenizer = generator._chat
    assert _served(generator).tokens(item) == [*chat.encode(asked), *chat.encode_text("1900")]


def test_a_reader_cites_and_abstains(folder: Path, tmp_path: Path, smollm_path: Path) -> None:
    reader = write_tiny_mixture(tmp_path / "reader", smollm_path)
    change_json(reader / "config.json", reader_prompts=prompts.fingerprint())
    served = _served(TransformersGenerator.load(str(reader), dtype="float32", native=False))
    plain, absent = _read(tmp_path, rows(1)[0], {**rows(1)[0], "answer": None})
    said, withheld = (served._chat.decode(served.tokens(item)[-16:]) for item in (plain, absent))
    assert said.endswith("1900 [1]") and withheld.endswith(prompts.NOT_FOUND)


def test_an_unknown_answer_is_the_models_own(
    generator: TransformersGenerator, tmp_path: Path
) -> None:
    row = {name: value for name, value in rows(1)[0].items() if name != "answer"}
    (item,) = _read(tmp_path, row)
    asked = prompts.open_book(item.prompt.question, item.prompt.passages)
    sampling = Sampling(12, stop=(prompts.NEXT_PASSAGE,))
    policy = generator.make_policy(sampling, "births")
    with closing(generator.begin(asked, sampling, policy=policy, from_passages=True)) as session:
        own = "".join(session.stream()).strip()
    written = generator._chat.encode_text(own)[:12]
    assert written
    assert _served(generator, 12).tokens(item) == [*generator._chat.encode(asked), *written]


def test_passages_that_do_not_fit_are_dropped(
    generator: TransformersGenerator, tmp_path: Path
) -> None:
    long, _ = rows(2, words=600)
    best = {**long, "passages": [long["passages"][1], long["passages"][0]]}
    fits, too_long = _read(tmp_path, best, {**long, "passages": long["passages"] * 3})
    assert generator.context_tokens == 1024
    tokens = _served(generator).tokens(fits)
    assert len(tokens) < 200 and "about nothing" in generator._chat.decode(tokens)
    with pytest.raises(InvalidArgument, match="with the best passage"):
        _served(generator).tokens(too_long)
