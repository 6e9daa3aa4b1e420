"""Profiling a folder: a killed run continues to the same profile, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from file_helper import change_json, write_lines
from profile_samples import rows, write_tiny_mixture
from safetensors.torch import load_file, save_file

from expertrag.api.errors import Conflict, InvalidArgument, ServerError
from expertrag.llm.convert.checkpoint import new_folder
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.packing import pack_folder
from expertrag_index.types import Progress, silent
from expertrag_lab.surgery.mixture import load_mixture
from expertrag_lab.surgery.profiling.observe import observe
from expertrag_lab.surgery.profiling.profile import ProfiledDomain, ProfileReport, profile_mixture
from expertrag_lab.surgery.profiling.profile_folder import check_model, load_card, load_profile
from expertrag_lab.surgery.profiling.traffic import TrafficPrompt, read_traffic

FILES = ("use.safetensors", "patterns.safetensors", "profile.json", "README.md", "SHA256SUMS")


def _killed_at(stage: str, number: int) -> Progress:
    def report(now: str, done: int, _total: int | None) -> None:
        if (now, done) == (stage, number):
            raise KeyboardInterrupt

    return report


@pytest.fixture(scope="module")
def folder(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny mixture."""
    return write_tiny_mixture(tmp_path_factory.mktemp("models") / "mixture", smollm_path)


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrafficPrompt, ...]:
    """Prompts of two domains; the answer of one is not known, one does not fit."""
    births, deaths = rows(11), rows(3, "deaths")
    del births[2]["answer"]
    deaths[1]["passages"][0]["text"] *= 200
    path = write_lines(tmp_path_factory.mktemp("rows") / "rows.jsonl", [*births, *deaths])
    return read_traffic(path, "none")


def _profile(
    folder: Path, traffic: tuple[TrafficPrompt, ...], out: Path, report: Progress = silent
) -> ProfileReport:
    return profile_mixture(str(folder), traffic, ["rows.jsonl"], out, report, most_tokens=8)


def test_a_killed_run_continues_to_the_same_profile(
    folder: Path, traffic: tuple[TrafficPrompt, ...], tmp_path: Path
) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    report = _profile(folder, traffic, whole)
    assert {name: item.prompts for name, item in report.domains.items()} == {
        "births": 11, "deaths": 2,
    }  # fmt: skip
    assert report.skipped == 1 and report.fingerprint == fingerprint(folder)
    kept = tmp_path / "resumed.partial"
    for stage, number in (("births", 5), ("births", 9), ("deaths", 1), ("deaths", 2)):
        with pytest.raises(KeyboardInterrupt):
            _profile(folder, traffic, resumed, _killed_at(f"profile: {stage}", number))
        assert not resumed.exists() and kept.is_dir() == (number != 5)  # sums of eight prompts
    seen: list[tuple[str, int]] = []
    again = _profile(folder, traffic, resumed, lambda stage, done, _: seen.append((stage, done)))
    assert again == report and not kept.exists()
    assert [done for stage, done in seen if stage == "profile: births"] == [11]  # nothing is rerun
    for name in FILES:
        assert (whole / name).read_bytes() == (resumed / name).read_bytes(), name


def test_other_prompts_begin_anew(
    folder: Path, traffic: tuple[TrafficPrompt, ...], tmp_path: Path
) -> None:
    out = tmp_path / "profile"
    with pytest.raises(KeyboardInterrupt):
        _profile(folder, traffic, out, _killed_at("profile: births", 9))
    report = _profile(folder, traffic[3:8], out)
    assert {name: item.prompts for name, item in report.domains.items()} == {"births": 5}


def test_the_profile_is_of_prompts_with_their_answers(
    folder: Path, traffic: tuple[TrafficPrompt, ...], tmp_path: Path
) -> None:
    (short, long) = (replace(item, known=True) for item in traffic[:2])
    report = _profile(folder, (short, long), tmp_path / "profile")
    found = load_profile(tmp_path / "profile")
    check_model(found, fingerprint(folder))
    use = found.domains["births"]
    assert report.domains["births"] == ProfiledDomain(2, int(use.tokens))
    mixture = load_mixture(str(folder))
    tokenizer = mixture.tokenizer
    answers = [list(tokenizer("1900").input_ids), list(tokenizer("1901").input_ids)]
    card = load_card(tmp_path / "profile")
    assert (card.experts, card.top_k, card.prompts) == (5, 2, {"births": 2})
    texts = [_prompt_text(tokenizer, item) for item in (short, long)]
    sequences = [
        [*tokenizer(text, add_special_tokens=False).input_ids, *answer]
        for text, answer in zip(texts, answers, strict=True)
    ]
    wanted = observe(mixture, sequences)
    assert int(use.tokens) == int(wanted.tokens)
    torch.testing.assert_close(use.selected, wanted.selected)
    torch.testing.assert_close(use.output_aware, wanted.output_aware, rtol=1e-4, atol=1e-6)


def _prompt_text(tokenizer: Any, item: TrafficPrompt) -> str:
    shown = [
        f"[{number}] {passage.title}\n{passage.text}"
        for number, passage in enumerate(item.prompt.passages, 1)
    ]
    turns = [
        {
            "role": "system",
            "content": "You are a helpful assistant. Answer the question briefly, using the "
            "passages.",
        },
        {"role": "user", "content": "\n\n".join([*shown, f"Question: {item.prompt.question}"])},
    ]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return text


def test_what_cannot_be_profiled_is_refused(
    folder: Path, traffic: tuple[TrafficPrompt, ...], tmp_path: Path
) -> None:
    packed = tmp_path / "packed"
    pack_folder(str(folder), "int8", packed, silent)
    with pytest.raises(InvalidArgument, match=r"is packed.*give the checkpoint"):
        _profile(packed, traffic, tmp_path / "one")
    with pytest.raises(InvalidArgument, match="no prompt fits the 1,024 tokens"):
        _profile(folder, traffic[12:13], tmp_path / "two")
    assert not list(tmp_path.glob("*.partial"))
    with new_folder(tmp_path / "three"):
        pass
    with pytest.raises(Conflict, match="exists; delete it"):
        _profile(folder, traffic[:1], tmp_path / "three")
    assert not (tmp_path / "one").exists() and not (tmp_path / "two").exists()


def test_damaged_weights_are_found_at_the_first_prompt(
    traffic: tuple[TrafficPrompt, ...], smollm_path: Path, tmp_path: Path
) -> None:
    folder = write_tiny_mixture(tmp_path / "mixture", smollm_path)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if ".layers.1." in name and ".experts." in name)
    weights[name].fill_(torch.nan)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    seen: list[str] = []
    with pytest.raises(ServerError, match="layer 1 of mixture computes values that are NaN"):
        _profile(folder, traffic[:2], tmp_path / "profile", lambda stage, *_: seen.append(stage))
    assert seen.count("profile: births") == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_a_mixture_with_an_expert_for_each_domain_is_profiled_as_it_is_served(
    traffic: tuple[TrafficPrompt, ...], smollm_path: Path, tmp_path: Path
) -> None:
    folder = write_tiny_mixture(tmp_path / "named", smollm_path, "mixtral")
    names = ["shared", "legal", "births", "base", "more"]
    change_json(folder / "config.json", expert_names=names)
    _profile(folder, (*traffic[:2], *traffic[11:12]), tmp_path / "profile")
    found = load_profile(tmp_path / "profile")
    for domain, expert in (("births", 2), ("deaths", 0)):  # of another domain, the shared one
        use = found.domains[domain]
        wanted = torch.zeros(3, 5, dtype=torch.float64)
        wanted[:, expert] = use.tokens
        assert torch.equal(use.selected, wanted)
        torch.testing.assert_close(use.weight, wanted)
