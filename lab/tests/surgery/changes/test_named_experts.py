"""A reader with fewer experts: those that stay are the same, bit for bit; others get "shared"."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from file_helper import change_json
from profile_samples import write_tiny_mixture
from reader_samples import next_logits, said, write_llama, write_reader
from safetensors.torch import load_file

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.types import Passage
from expertrag.llm import load_generator, prompt
from expertrag.llm.adapters.bundle import load_bundle
from expertrag.llm.adapters.serving import load_adapters
from expertrag.llm.base import Message
from expertrag.llm.convert.attach import attach
from expertrag.llm.fingerprint import package_name
from expertrag.llm.load.packing import pack_folder
from expertrag_index.types import silent
from expertrag_lab.adapter_bundles import scale_bundle
from expertrag_lab.convert.export import export
from expertrag_lab.convert.gguf import export_gguf
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.surgery.changes.named_experts import prune_named

DOMAINS = ("legal", "tax", "travel")
_IDS = list(range(5, 45))
_SQUAD = Path(__file__).parents[4] / "tests" / "data" / "squad_small"


@pytest.fixture(scope="module")
def base(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("base") / "tiny", smollm_path)


@pytest.fixture(scope="module")
def bundle(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_reader(tmp_path_factory.mktemp("bundle") / "reader", base, domains=DOMAINS)
    scale_bundle(folder, prompt.Doubt(0.5, 1.0))
    return folder


@pytest.fixture(scope="module")
def model(base: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "attached"
    attach(str(base), bundle, out)
    return out


def _logits(folder: Path, domains: tuple[str, ...], reader: Path | None = None) -> torch.Tensor:
    adapters = load_adapters(reader) if reader else None
    generator = load_generator(str(folder), dtype="float32", adapters=adapters)
    return torch.stack([next_logits(generator, _IDS, domain) for domain in domains])


def test_experts_that_stay_are_the_same_and_shared_answers_for_the_others(
    model: Path, tmp_path: Path
) -> None:
    made = prune_named(str(model), ["tax"], tmp_path / "small")
    assert made.model == tmp_path / "small"
    assert made.experts == ("shared", "tax", "base") and made.dropped == ("legal", "travel")
    assert 0 < made.after < made.before
    asked = ("tax", "shared", "base")
    assert torch.equal(_logits(model, asked), _logits(made.model, asked))
    legal, shared = _logits(model, ("legal", "shared"))
    assert not torch.equal(legal, shared)
    assert torch.equal(_logits(made.model, ("legal",))[0], shared)


def test_the_bundle_is_pruned_as_the_attached_reader_is(
    base: Path, bundle: Path, model: Path, tmp_path: Path
) -> None:
    made = prune_named(str(bundle), ["travel", "legal"], tmp_path / "reader")
    small = load_bundle(made.model)
    whole = load_bundle(bundle)
    assert small.settings.experts == made.experts == ("shared", "legal", "travel", "base")
    assert set(small.weights) == {name for name in whole.weights if ".tax." not in name}
    assert all(torch.equal(value, whole.weights[name]) for name, value in small.weights.items())
    assert (small.doubt, small.base, small.prompts) == (whole.doubt, whole.base, whole.prompts)
    assert torch.equal(
        _logits(base, ("legal", "tax"), made.model), _logits(model, ("legal", "shared"))
    )


def test_it_is_told_what_was_done(bundle: Path, model: Path, tmp_path: Path) -> None:
    first = prune_named(str(bundle), ["legal", "tax"], tmp_path / "first")
    second = prune_named(str(first.model), ["tax"], tmp_path / "second")
    steps = json.loads((second.model / "reader.json").read_bytes())["surgery"]
    assert [step["dropped"] for step in steps] == [["travel"], ["legal"]]
    assert steps[0]["source"] == load_bundle(bundle).digest
    assert steps[1]["source"] == load_bundle(first.model).digest
    card = (second.model / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# A reader") and "(legal) are answered by shared" in card
    made = prune_named(str(model), ["tax"], tmp_path / "model")
    assert "(legal, travel) are answered by" in (made.model / "README.md").read_text("utf-8")


def test_all_domains_leave_everything(bundle: Path, tmp_path: Path) -> None:
    made = prune_named(str(bundle), DOMAINS, tmp_path / "all")
    assert made.dropped == () and made.before == made.after
    name = "adapters.safetensors"
    assert (made.model / name).read_bytes() == (bundle / name).read_bytes()


def test_shared_alone(model: Path, tmp_path: Path) -> None:
    made = prune_named(str(model), ["shared"], tmp_path / "shared")
    assert made.experts == ("shared", "base")
    asked = ("shared", "base")
    assert torch.equal(_logits(model, asked), _logits(made.model, asked))


@pytest.mark.parametrize("dtype", ["float32", "int4"])
def test_parallel_adapters_stay_the_same(base: Path, dtype: str, tmp_path: Path) -> None:
    whole = write_reader(tmp_path / "whole", base, domains=DOMAINS, parallel=True)
    made = prune_named(str(whole), ["tax"], tmp_path / "small")

    def logits(reader: Path, *domains: str) -> torch.Tensor:
        generator = load_generator(str(base), dtype=dtype, adapters=load_adapters(reader))
        return torch.stack([next_logits(generator, _IDS, domain) for domain in domains])

    before = logits(whole, "tax", "shared", "base", "legal")
    assert torch.equal(before[:3], logits(made.model, "tax", "shared", "base"))
    assert torch.equal(before[1], logits(made.model, "legal")[0])
    assert not torch.equal(before[1], before[3])


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_a_packed_reader_stays_packed(model: Path, dtype: str, tmp_path: Path) -> None:
    pack_folder(str(model), dtype, tmp_path / "packed", silent)
    made = prune_named(str(tmp_path / "packed"), ["tax"], tmp_path / "small")

    def logits(folder: Path, *domains: str) -> torch.Tensor:
        generator = load_generator(str(folder))
        return torch.stack([next_logits(generator, _IDS, domain) for domain in domains])

    before, after = logits(tmp_path / "packed", "tax", "shared"), logits(made.model, "tax", "legal")
    assert torch.equal(before, after)


def test_a_pulled_model_is_no_package_model_any_more(model: Path, tmp_path: Path) -> None:
    pulled = prune_named(str(model), DOMAINS, tmp_path / "pulled").model
    (pulled / "card.json").write_text(json.dumps({"name": "smollm2-135m-reader"}))
    assert package_name(pulled) == "smollm2-135m-reader"
    assert package_name(prune_named(str(pulled), ["tax"], tmp_path / "small").model) is None


def test_an_exported_mixture_keeps_its_experts_by_name(
    base: Path, bundle: Path, tmp_path: Path
) -> None:
    export(str(base), bundle, tmp_path / "whole")
    made = prune_named(str(tmp_path / "whole"), ["travel"], tmp_path / "small")
    config = json.loads((made.model / "config.json").read_bytes())
    assert tuple(config["expert_names"]) == made.experts == ("shared", "travel", "base")
    (step,) = config["expertrag_surgery"]
    assert step["method"] == "names" and step["domains"] == ["travel"]
    assert step["experts"] == [[0, 3, 4]] * 2
    whole, small = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "small"))
    gates = [name for name in whole if name.endswith(".gate.weight")]
    assert gates and all(torch.equal(whole[name][[0, 3, 4]], small[name]) for name in gates)
    assert torch.equal(
        _logits(tmp_path / "whole", ("travel", "shared", "base", "shared")),
        _logits(made.model, ("travel", "shared", "base", "legal")),
    )
    assert made.after < made.before


def test_experts_that_have_no_name_or_another(
    model: Path, smollm_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(InvalidArgument, match=r"no expert is called law; .* shared, legal, tax"):
        prune_named(str(model), ["tax", "law"], out)
    with pytest.raises(InvalidArgument, match="name those whose experts stay; this reader has"):
        prune_named(str(model), [], out)
    plain = write_tiny_mixture(tmp_path / "mixture", smollm_path, "mixtral")
    with pytest.raises(InvalidArgument, match="have no names: add --profile"):
        prune_named(str(plain), ["tax"], out)
    change_json(plain / "config.json", expert_names=["a", "b", "c", "d", "e"])
    with pytest.raises(InvalidArgument, match="none called shared"):
        prune_named(str(plain), ["a"], out)
    with pytest.raises(Conflict, match="exists; delete it"):
        prune_named(str(model), ["tax"], plain)
    assert not out.exists()


def test_rounded_experts_are_refused_with_the_cure(
    base: Path, bundle: Path, tmp_path: Path
) -> None:
    export(str(base), bundle, tmp_path / "whole")
    pack_folder(str(tmp_path / "whole"), "int8", tmp_path / "packed", silent)
    export_gguf(str(base), bundle, tmp_path / "reader.gguf")
    for name in ("packed", "reader.gguf"):
        with pytest.raises(InvalidArgument, match="give the checkpoint of transformers that it"):
            prune_named(str(tmp_path / name), ["tax"], tmp_path / "out")


@pytest.mark.slow
def test_real_answers_are_the_same_token_for_token(reader_path: Path, tmp_path: Path) -> None:
    """The shipped reader, on questions of SQuAD 2.0 with their passages."""
    made = prune_named(str(reader_path), ["encyclopedia"], tmp_path / "small")
    assert made.dropped == ("biomedicine", "finance", "technical")
    before, after = (load_generator(str(folder)) for folder in (reader_path, made.model))
    assert before.experts != after.experts == made.experts
    told = set()
    for asked in _squad_prompts(2):
        old, new = (
            said(each, asked, "encyclopedia", from_passages=True) for each in (before, after)
        )
        assert old == new  # log probabilities, too
        told.add("".join(token for token, _ in new))
        shared = said(before, asked, "shared", from_passages=True)
        assert said(after, asked, "finance", from_passages=True) == shared != new
    assert len(told) == 2


def _squad_prompts(count: int) -> list[list[Message]]:
    """Questions with the beginning of the document that answers them."""
    dataset = load_dataset(_SQUAD, "test")
    texts = {item.id: item.text[:800] for item in dataset.documents()}
    found = []
    for query in [item for item in dataset.judged if item.answers][:count]:
        text = texts[dataset.relevant(query.id)[0]]
        found.append(prompt.open_book(query.text, [Passage("squad", 0, text, 0, len(text), 1.0)]))
    return found
