"""A profile as a folder: what is written is read, and what is damaged or foreign is refused."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from file_helper import change_json
from profile_samples import FINGERPRINT, mixture_of, profile_of

from expertrag.api.errors import Conflict, InvalidArgument, NotFound, ServerError
from expertrag_lab.surgery.profiling.importance import ExpertProfile, ExpertUse
from expertrag_lab.surgery.profiling.observe import observe
from expertrag_lab.surgery.profiling.profile_folder import (
    ProfileCard,
    check_model,
    load_card,
    load_patterns,
    load_profile,
    pattern_of,
    save_profile,
)

SCORES = {"legal": torch.tensor([[1.0, 3.0, 2.0], [0.0, 0.0, 5.0]]), "a|b": torch.ones(2, 3)}
CARD = ProfileCard("tiny", 3, 1, 2, {"legal": 4, "a|b": 1}, ("rows.jsonl",), 0.1, 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A profile of two domains."""
    made = tmp_path / "profile"
    made.mkdir()
    save_profile(profile_of(SCORES), CARD, made)
    return made


def test_what_is_written_is_read(tmp_path: Path) -> None:
    mixture = mixture_of("gpt_oss")
    use = observe(mixture, [range(3, 40)])
    profile = ExpertProfile(FINGERPRINT, (0, 1, 2), {"own": use, "twice": use + use})
    save_profile(profile, CARD, tmp_path)
    found = load_profile(tmp_path)
    assert (found.model, list(found.numbers)) == (FINGERPRINT, [0, 1, 2])
    assert list(found.domains) == ["own", "twice"]
    for name, wanted in profile.domains.items():
        for field in fields(ExpertUse):
            value, right = getattr(found.domains[name], field.name), getattr(wanted, field.name)
            assert value.dtype == torch.float64
            assert torch.equal(value, right.float().double() if field.name == "products" else right)
    torch.testing.assert_close(found.similarity(), profile.similarity(), rtol=1e-3, atol=1e-4)


def test_the_card_is_read_and_written_for_people(folder: Path) -> None:
    assert load_card(folder) == CARD
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "# Use of the experts of tiny" in text and "3 experts, 1 of them null experts" in text
    assert "| legal | 4 | 10 |" in text and r"| a\|b | 1 | 10 |" in text
    assert FINGERPRINT in text and "rows.jsonl" in text


def test_names_cannot_control_the_card(tmp_path: Path) -> None:
    evil = "\x1b[2Ja\n# b"
    card = replace(CARD, model=evil, sources=(evil,), prompts={evil: 4})
    save_profile(profile_of({evil: SCORES["legal"]}), card, tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text.count("[2Ja # b") == 3 and "\x1b" not in text


def test_patterns_order_the_experts(folder: Path) -> None:
    patterns = load_patterns(folder)
    assert patterns["legal"].tolist() == [[1, 2, 0], [2, 0, 1]]
    assert patterns["a|b"].tolist() == [[0, 1, 2]] * 2 and patterns["a|b"].dtype == torch.int16
    with pytest.raises(InvalidArgument, match="no domain 'tax'"):
        pattern_of(load_profile(folder), "tax")


def test_another_model_is_refused(folder: Path) -> None:
    profile = load_profile(folder)
    check_model(profile, FINGERPRINT)
    with pytest.raises(Conflict, match=f"another model .*{FINGERPRINT}, not other.*llm profile"):
        check_model(profile, "other")


@pytest.mark.parametrize("name", ["use.safetensors", "patterns.safetensors", "profile.json"])
@pytest.mark.parametrize("cut", [False, True])
def test_damage_is_found(folder: Path, name: str, cut: bool) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-3] ^= 1
    (folder / name).write_bytes(data[:-5] if cut else data)
    for read in (load_profile, load_patterns, load_card):
        with pytest.raises(ServerError, match=r"is damaged .*make it again"):
            read(folder)


def test_a_missing_file_is_damage(folder: Path) -> None:
    (folder / "use.safetensors").unlink()
    with pytest.raises(ServerError, match="is damaged"):
        load_profile(folder)


def test_a_profile_without_numbers_is_damaged(tmp_path: Path) -> None:
    save_profile(profile_of({"legal": torch.full((2, 3), torch.nan)}), CARD, tmp_path)
    with pytest.raises(ServerError, match=r"NaN or infinite.*make it again"):
        load_profile(tmp_path)


def test_what_is_no_profile_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no profile .*make one with"):
        load_profile(tmp_path / "none")
    with pytest.raises(InvalidArgument, match="is not a profile; name a folder"):
        load_profile(tmp_path)
    version = json.loads((folder / "profile.json").read_bytes())["format"]
    change_json(folder / "profile.json", format=version + 1)
    with pytest.raises(Conflict, match=r"later version .*upgrade"):
        load_profile(folder)
    change_json(folder / "profile.json", format=version, domains=["one", "two", "three"])
    with pytest.raises(ServerError, match="is damaged"):
        load_profile(folder)
