"""Changed mixtures as checkpoints: what they say; transformers and our engine load them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from made_mixtures import IDS, engine_logits, logits, mixture_of, profile_of
from transformers import AutoModelForCausalLM

from expertrag.api.errors import Conflict
from expertrag_lab.surgery.changes.merge_experts import merge_experts
from expertrag_lab.surgery.changes.prune import prune
from expertrag_lab.surgery.changes.record import write_changed
from expertrag_lab.surgery.mixture import load_mixture
from expertrag_lab.surgery.profiling.importance import Method

_SOURCE = "0123456789abcdef"
_FAMILIES: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": 8},
    "qwen2_moe with null experts": {"num_experts": 11},
    "qwen3_moe, some layers dense": {"num_experts": 8},
    "gpt_oss": {"num_local_experts": 8},
    "deepseek_v3": {"n_routed_experts": 16},
    "granitemoeshared": {"num_local_experts": 8},
    "phimoe": {"num_local_experts": 8},
}


@pytest.mark.parametrize("family", _FAMILIES)
def test_the_checkpoint_has_the_logits_of_the_changed_model(family: str, tmp_path: Path) -> None:
    mixture = mixture_of(family, **_FAMILIES[family])
    pruned = prune(mixture, profile_of(mixture), keep=0.5, method=Method.EASY_EP)
    made = write_changed(pruned, mixture, tmp_path / "model")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    with torch.inference_mode():
        found = loaded(input_ids=IDS[None]).logits[0]
    torch.testing.assert_close(found, logits(pruned), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(engine_logits(loaded), found, atol=1e-3, rtol=1e-3)
    assert loaded.num_parameters() == made.after.parameters < made.before.parameters
    assert made.after.bytes == 4 * made.after.parameters


def test_config_and_card_tell_what_was_done(tmp_path: Path) -> None:
    mixture = mixture_of("olmoe", num_experts=8)
    profile = profile_of(mixture)
    pruned = prune(mixture, profile, keep=6, method=Method.REAP, domains=["any"])
    made = write_changed(pruned, mixture, tmp_path / "pruned")
    config = json.loads((tmp_path / "pruned" / "config.json").read_text())
    [step] = config["expertrag_surgery"]
    assert step == {
        "kind": "prune",
        "source": _SOURCE,
        "method": "reap",
        "domains": ["any"],
        "denominators": "keep",
        "experts": made.step.experts,
    }
    assert config["num_experts"] == 6 and len(step["experts"][0]) == 6
    card = (tmp_path / "pruned" / "README.md").read_text()
    assert card.startswith('---\nlicense: MIT\nbase_model: "olmoe"\n')
    assert "6 of 8 routed experts" in card and f"`{_SOURCE}`" in card and "reap" in card
    assert f"| 2 | {', '.join(map(str, step['experts'][2]))} |" in card
    assert f"{made.after.parameters:,}" in card and f"{made.before.bytes:,}" in card


def test_steps_add_up(tmp_path: Path) -> None:
    mixture = mixture_of("mixtral", num_local_experts=8)
    pruned = prune(mixture, profile_of(mixture), keep=6, method=Method.REAP)
    write_changed(pruned, mixture, tmp_path / "pruned")
    again = load_mixture(str(tmp_path / "pruned"))
    merged = merge_experts(again, profile_of(again), groups=3)
    write_changed(merged, again, tmp_path / "merged")
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert [step["kind"] for step in config["expertrag_surgery"]] == ["prune", "merge"]
    assert config["num_local_experts"] == 3
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "# pruned, merged" in card and 'base_model: "pruned"' in card and "license: MIT" in card
    assert "Earlier changes" in card and f"- pruned, from files `{_SOURCE}`" in card
    groups = merged.model.config.expertrag_surgery[1]["experts"][0]
    assert f"| 0 | {', '.join('+'.join(map(str, group)) for group in groups)} |" in card


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    mixture = mixture_of("mixtral")
    pruned = prune(mixture, profile_of(mixture), keep=3, method=Method.REAP)
    (tmp_path / "model").mkdir()
    with pytest.raises(Conflict, match="delete it"):
        write_changed(pruned, mixture, tmp_path / "model")
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]
    assert not list((tmp_path / "model").iterdir())
