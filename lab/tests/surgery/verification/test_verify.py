"""A changed model beside the one before: equal ones pass, damaged ones and others are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from file_helper import change_json
from memorised_mixture import (
    FORM,
    memorised_prompts,
    planted_gate,
    reply_losses,
    token_pair,
    write_memorised,
)
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from expertrag.api.errors import ExpertRAGError, InvalidArgument, ServerError
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.load.packing import pack_folder
from expertrag_index.types import silent
from expertrag_lab.surgery.changes.prune import prune
from expertrag_lab.surgery.changes.record import write_changed
from expertrag_lab.surgery.mixture import load_mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile, Method
from expertrag_lab.surgery.profiling.observe import observe
from expertrag_lab.surgery.retrieved_prompts import RetrievedPrompt
from expertrag_lab.surgery.verification.verify import Verification, VerifySettings, verify
from expertrag_retriever.gate.bundle import Needs

TRAINED = "qwen2_moe"
KINDS = (TRAINED, "deepseek_v3", "gpt_oss", "qwen3_moe with null experts")
EXACT = VerifySettings(dtype="float32", rounds=0, most_tokens=8)

Memorised = Callable[[str], Path]


@pytest.fixture(scope="module")
def memorised(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Memorised:
    """Write (once) a tiny reader of a family; the one of ``TRAINED`` knows the replies."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            steps = {} if kind == TRAINED else {"steps": 0}
            folder = tmp_path_factory.mktemp("known")
            made[kind] = write_memorised(folder, smollm_path, kind, **steps)
        return made[kind]

    return make


@pytest.fixture
def known(memorised: Memorised) -> Path:
    return memorised(TRAINED)


@pytest.fixture
def prompts() -> tuple[RetrievedPrompt, ...]:
    return memorised_prompts()


def _changed(model: Path, out: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Copy a model with other weights."""
    shutil.copytree(model, out)
    weights = load_file(out / "model.safetensors")
    change(weights)
    save_file(weights, out / "model.safetensors", {"format": "pt"})
    return out


def _experts(weights: dict[str, Any]) -> list[str]:
    return [name for name in weights if ".experts." in name]


def _shuffled(weights: dict[str, Any]) -> None:
    """Reverse the rows of an expert's weights in every layer: each input gets another's output."""
    for name in _experts(weights):
        weights[name] = weights[name].flip(-2).contiguous()


def _compared(before: Path, after: Path, prompts: Any, **options: Any) -> Verification:
    settings = VerifySettings(**{"dtype": "float32", "rounds": 0, "most_tokens": 8, **options})
    return verify(str(before), str(after), prompts, settings, silent)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_models_do_not_differ(
    memorised: Memorised, prompts: tuple[RetrievedPrompt, ...], tmp_path: Path, kind: str
) -> None:
    model = memorised(kind)
    same = shutil.copytree(model, tmp_path / "same")
    found = _compared(model, same, prompts)
    assert not found.problems and not found.notes
    assert found.loss is not None and found.routers is not None
    rise = found.loss.relative
    assert (rise.mean, rise.low, rise.high, rise.n) == (0.0, 0.0, 0.0, 6)
    assert found.loss.before == found.loss.after
    assert set(found.domains) == {"births", "deaths"}
    assert found.same_answers.mean == found.routers.mean == 1.0
    assert len(found.routers.layers) == (2 if kind == "deepseek_v3" else 3)
    assert found.before.fingerprint == found.after.fingerprint
    assert found.before.size_bytes == found.after.size_bytes > 0
    assert all(item.before == item.after for item in found.figures)
    if kind == TRAINED:
        assert {item.name: item.before for item in found.figures} == {
            "accuracy": 1.0,
            "exact match": 1.0,
            "F1": 1.0,
            "citations": 1.0,
            "abstention AUROC": 1.0,
        }


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_those_of_transformers(
    memorised: Memorised, prompts: tuple[RetrievedPrompt, ...], kind: str
) -> None:
    folder = memorised(kind)
    found = _compared(folder, folder, prompts)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.eval()
    chat = ChatTokenizer(AutoTokenizer.from_pretrained(folder))
    with torch.inference_mode():
        each = [reply_losses(model, *token_pair(item, chat)) for item in prompts]
    assert found.loss is not None
    assert found.loss.tokens == sum(map(len, each))
    expected = float(torch.cat(each).double().mean())
    assert found.loss.before == pytest.approx(expected, rel=2e-3, abs=1e-5)


def test_a_damaged_model_is_refused(
    known: Path, prompts: tuple[RetrievedPrompt, ...], tmp_path: Path
) -> None:
    found = _compared(known, _changed(known, tmp_path / "bad", _shuffled), prompts)
    assert found.loss is not None and found.loss.relative.low > 0.02
    assert "the loss on right answers rises by" in found.problems[0]
    assert "the tolerance is 2.0%" in found.problems[0]
    accuracy = found.figures[0]
    assert accuracy.name == "accuracy" and accuracy.after is not None
    assert accuracy.before == 1.0 > accuracy.after
    assert found.same_answers.mean < 1.0


def test_the_upper_end_of_the_interval_decides(
    known: Path, prompts: tuple[RetrievedPrompt, ...], tmp_path: Path
) -> None:
    def weaker(weights: dict[str, Any]) -> None:
        for name in _experts(weights):
            weights[name] = weights[name] * 0.97

    after = _changed(known, tmp_path / "weaker", weaker)
    loss = _compared(known, after, prompts).loss
    assert loss is not None and loss.relative.low < loss.relative.mean < loss.relative.high
    between = (loss.relative.mean + loss.relative.high) / 2
    assert _compared(known, after, prompts, tolerance=between).problems
    assert not _compared(known, after, prompts, tolerance=loss.relative.high).problems


def test_a_model_whose_weights_are_no_numbers_is_damaged(
    known: Path, prompts: tuple[RetrievedPrompt, ...], tmp_path: Path
) -> None:
    def nan(weights: dict[str, Any]) -> None:
        weights[_experts(weights)[0]][0, 0] = float("nan")

    def missing(weights: dict[str, Any]) -> None:
        del weights[_experts(weights)[0]]

    with pytest.raises(
        ServerError, match=r"experts.* of model.safetensors has values that are NaN"
    ):
        _compared(known, _changed(known, tmp_path / "nan", nan), prompts)
    with pytest.raises(ExpertRAGError) as raised:
        _compared(known, _changed(known, tmp_path / "missing", missing), prompts)
    assert raised.value.reason == "MODEL_DAMAGED"


def test_other_words_cannot_be_compared(
    known: Path, prompts: tuple[RetrievedPrompt, ...], tmp_path: Path
) -> None:
    words = shutil.copytree(known, tmp_path / "words")
    tokenizer = AutoTokenizer.from_pretrained(words)
    tokenizer.add_tokens(["[another]"])
    tokenizer.save_pretrained(words)
    with pytest.raises(InvalidArgument, match=r"tokenizers of .* differ in 1 entries"):
        _compared(known, words, prompts)
    turns = shutil.copytree(known, tmp_path / "turns")
    tokenizer = AutoTokenizer.from_pretrained(turns)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    tokenizer.save_pretrained(turns)
    with pytest.raises(InvalidArgument, match=r"chat templates of .* differ"):
        _compared(known, turns, prompts)


def test_routers_are_compared_by_the_experts_that_were_kept(
    known: Path, prompts: tuple[RetrievedPrompt, ...], tmp_path: Path
) -> None:
    mixture = load_mixture(str(known))
    chat = ChatTokenizer(mixture.tokenizer)
    tokens = [token_pair(item, chat)[0] for item in prompts]
    numbers = [layer.number for layer in mixture.layers]
    profile = ExpertProfile("0123456789abcdef", numbers, {"births": observe(mixture, tokens)})
    changed = prune(mixture, profile, keep=3, method=Method.FREQUENCY)
    out = tmp_path / "pruned"
    write_changed(changed, mixture, out)
    found = _compared(known, out, prompts, tolerance=1e9)
    assert found.routers is not None and len(found.routers.layers) == len(numbers)
    assert found.after.parameters is not None and found.before.parameters is not None
    assert found.after.parameters < found.before.parameters
    assert found.after.size_bytes < found.before.size_bytes
    # before any expert is missing, layer 0 gets the same rows: of the kept experts, what was
    # chosen is chosen again, so only tokens that lost an expert differ
    assert 0.5 < found.routers.layers[0] < 1.0
    kept = changed.model.config.expertrag_surgery[-1]["experts"][0]
    lost = _share_lost(mixture, tokens, kept)
    assert found.routers.layers[0] == pytest.approx(1.0 - lost, abs=0.02)
    change_json(out / "config.json", expertrag_surgery=None)
    unknown = _compared(known, out, prompts, tolerance=1e9)
    assert unknown.routers is None and "does not record which experts" in unknown.notes[0]


def _share_lost(mixture: Any, tokens: list[list[int]], kept: list[int]) -> float:
    """The share of the choices of the first layer that were of experts that are gone."""
    chosen: list[torch.Tensor] = []
    layer = mixture.layers[0]
    hook = layer.experts.register_forward_pre_hook(lambda _, given: chosen.append(given[1]))
    with torch.inference_mode():
        for text in tokens:
            mixture.model(input_ids=torch.tensor([text[:-1]]))
    hook.remove()
    every = torch.cat(chosen).flatten()
    return 1.0 - float(torch.isin(every, torch.tensor(kept)).double().mean())


def test_a_gate_of_another_model_is_refused(
    known: Path, prompts: tuple[RetrievedPrompt, ...], tmp_path: Path
) -> None:
    def slightly(weights: dict[str, Any]) -> None:
        weights[_experts(weights)[0]] *= 1.0001

    after = _changed(known, tmp_path / "after", slightly)
    given = (str(known), str(after), prompts, EXACT, silent)
    own = verify(*given)
    assert not own.problems and own.before.fingerprint != own.after.fingerprint

    def problems(fingerprint: str | None) -> tuple[str, ...]:
        needs = Needs(generator="before", generator_fingerprint=fingerprint)
        return verify(*given, planted_gate(needs)).problems

    assert problems(own.after.fingerprint) == ()
    (other,) = problems(own.before.fingerprint)
    assert "was fitted with another language model (before, " in other
    assert f"expertrag eval record DATASET --index STORE --generator {after} --out ROWS" in other
    assert "expertrag train gate ROWS" in other
    (unknown,) = problems(None)
    assert "does not say whose answers it was fitted on" in unknown
    assert "expertrag gate calibrate ROWS --gate GATE --out NEW" in unknown


def test_prompts_that_do_not_fit_are_left_out(
    known: Path, prompts: tuple[RetrievedPrompt, ...], tmp_path: Path
) -> None:
    short = shutil.copytree(known, tmp_path / "short")
    chat = ChatTokenizer(AutoTokenizer.from_pretrained(known))
    lengths = sorted(len(chat.encode(FORM.messages(item))) for item in prompts)
    change_json(short / "config.json", max_position_embeddings=lengths[2] + 65)
    found = _compared(known, short, prompts)
    assert found.prompts == sum(length <= lengths[2] for length in lengths) < 6
    assert found.prompts + found.too_long == 6
    change_json(short / "config.json", max_position_embeddings=lengths[0] + 64)
    with pytest.raises(InvalidArgument, match="none of 6 prompts fits"):
        _compared(known, short, prompts)


def test_speed_is_measured_in_turns(known: Path, prompts: tuple[RetrievedPrompt, ...]) -> None:
    found = _compared(known, known, prompts, rounds=2)
    assert set(found.speed) == {"prompt", "decode"}
    for item in found.speed.values():
        assert item.before.n == item.after.n == item.ratio.n == 2
        assert item.ratio.low <= item.ratio.mean <= item.ratio.high
        assert item.before.low > 0


def test_a_packed_model_is_compared_without_its_routers(
    known: Path, prompts: tuple[RetrievedPrompt, ...], tmp_path: Path
) -> None:
    packed = tmp_path / "packed"
    pack_folder(str(known), "int8", packed, silent)
    found = verify(str(known), str(packed), prompts, VerifySettings(tolerance=5.0), silent)
    assert found.loss is not None and found.loss.after > 0
    assert found.routers is None and "packed is packed" in found.notes[0]
    assert found.after.size_bytes < found.before.size_bytes
    assert not found.problems
