"""A pre-gate learns what routers choose from the tokens alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from made_mixtures import mixture_of, texts

from expertrag.api.errors import InvalidArgument, ServerError
from expertrag_index.types import Progress, silent
from expertrag_lab.surgery.splitting.pre_gate import (
    FOLDER,
    PreGate,
    PreGateShape,
    load_pre_gate,
    save_pre_gate,
)
from expertrag_lab.surgery.splitting.pre_gate_training import (
    PreGateRecipe,
    RoutedTexts,
    recall,
    recall_of_frequent,
    train_pre_gate,
)
from expertrag_lab.surgery.verification.router_agreement import choices

_WORDS, _EXPERTS = 40, 8
_RECIPE = PreGateRecipe(width=32, epochs=14, rate=2e-2)


def _planted(count: int, seed: int) -> RoutedTexts:
    """Texts of 12 to 20 tokens: a layer's experts follow from a token, and from the one before."""
    generator = torch.Generator().manual_seed(seed)
    tokens, chosen = [], []
    for number in range(count):
        text = torch.randint(_WORDS, (12 + number % 9,), generator=generator)
        before = torch.cat([torch.zeros(1, dtype=torch.long), text[:-1]])
        layers = [
            torch.stack([word % _EXPERTS, (word + 3) % _EXPERTS], dim=1).to(torch.int16)
            for word in (text, before)
        ]
        tokens.append(text.tolist())
        chosen.append(tuple(layers))
    return RoutedTexts(tokens, chosen, _EXPERTS)


def _embeddings() -> torch.Tensor:
    return torch.randn(_WORDS, 24, generator=torch.Generator().manual_seed(5))


def test_a_planted_routing_is_learned(tmp_path: Path) -> None:
    seen, held = _planted(96, 0), _planted(16, 1)
    gate = train_pre_gate(_embeddings(), seen, _RECIPE, tmp_path, silent)
    assert recall(gate, _embeddings(), held, 2) > 0.95
    assert recall(gate, _embeddings(), held, _EXPERTS) == 1.0
    assert recall_of_frequent(seen, held, 2) < 0.5


def test_recall_is_the_share_of_chosen_experts_that_were_expected() -> None:
    gate, held = PreGate(PreGateShape(24, 16, 2, _EXPERTS)).requires_grad_(False), _planted(5, 2)
    hits = total = 0
    for text, layers in zip(held.tokens, held.choices, strict=True):
        logits = gate(_embeddings()[torch.tensor(text)][None])[0][0].tolist()  # [T][L][E]
        for layer, chosen in enumerate(layers):
            for token, own in enumerate(chosen.tolist()):
                scores = logits[token][layer]
                best = sorted(range(_EXPERTS), key=lambda expert: -scores[expert])
                hits += len(set(own) & set(best[:3]))
                total += len(own)
    assert recall(gate, _embeddings(), held, 3) == pytest.approx(hits / total)


def test_frequent_experts_are_those_of_the_texts_that_were_seen() -> None:
    seen = RoutedTexts([[0, 0, 0]], [(torch.tensor([[1, 2], [1, 3], [1, 2]]),)], 4)
    held = RoutedTexts([[0, 0]], [(torch.tensor([[1, 3], [2, 1]]),)], 4)
    assert recall_of_frequent(seen, held, 2) == pytest.approx(3 / 4)


def test_training_does_not_depend_on_the_padding_of_a_batch(tmp_path: Path) -> None:
    """A text behind whose end another one goes on is trained on its own tokens alone."""
    long, short = _planted(9, 3), _planted(1, 4)
    one = PreGateRecipe(width=8, epochs=1, batch=2)
    padded = RoutedTexts([*short.tokens, long.tokens[8]], [*short.choices, long.choices[8]], 8)
    tokens, chosen = padded.batch([0, 1])
    assert tokens.shape == (2, 20) and chosen.shape == (2, 20, 2, 2)
    assert (chosen[0, 12:] == -1).all() and (chosen[1] >= 0).all()
    gate = train_pre_gate(_embeddings(), padded, one, tmp_path, silent)
    assert all(weight.isfinite().all() for weight in gate.parameters())


def test_the_same_seed_gives_the_same_pre_gate_even_if_killed(tmp_path: Path) -> None:
    seen, short = _planted(16, 0), PreGateRecipe(width=8, epochs=3)

    def trained(name: str, recipe: PreGateRecipe = short, progress: Progress = silent) -> PreGate:
        return train_pre_gate(_embeddings(), seen, recipe, tmp_path / name, progress)

    def killed(_stage: str, done: int, _total: int | None) -> None:
        if done == 5:  # in the third epoch of two steps
            raise KeyboardInterrupt

    first = trained("first")
    with pytest.raises(KeyboardInterrupt):
        trained("second", progress=killed)
    steps: list[int] = []
    second = trained("second", progress=lambda _stage, done, _total: steps.append(done))
    assert steps == [5, 6]
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    other = trained("other", PreGateRecipe(width=8, epochs=3, seed=1))
    assert not torch.equal(first.enter.weight, other.enter.weight)


def test_a_text_may_come_in_parts() -> None:
    gate = PreGate(PreGateShape(24, 16, 3, _EXPERTS)).eval()
    embedded = _embeddings()[:12][None]
    whole, last = gate(embedded)
    memory, parts = None, []
    for part in embedded.split([5, 1, 1, 5], dim=1):
        logits, memory = gate(part, memory)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    torch.testing.assert_close(memory, last)
    assert whole.shape == (1, 12, 3, _EXPERTS)


@pytest.mark.parametrize("family", ["olmoe", "deepseek_v3"])
def test_any_mixture_can_be_imitated(family: str, tmp_path: Path) -> None:
    mixture = mixture_of(family)
    own = texts(24)
    seen = RoutedTexts(own, choices(mixture, own, silent), mixture.num_experts)
    embeddings = mixture.model.get_input_embeddings().weight
    gate = train_pre_gate(embeddings, seen, PreGateRecipe(width=32, rate=1e-2), tmp_path, silent)
    assert gate.shape.layers == len(mixture.layers)
    best = recall_of_frequent(seen, seen, mixture.top_k)
    assert recall(gate, embeddings, seen, mixture.top_k) > best


def test_a_pre_gate_survives_its_folder_and_damage_is_found(tmp_path: Path) -> None:
    gate = PreGate(PreGateShape(24, 16, 2, _EXPERTS)).eval()
    save_pre_gate(gate, tmp_path)
    found = load_pre_gate(tmp_path)
    assert found.shape == gate.shape and not found.training
    assert torch.equal(found(_embeddings()[None])[0], gate(_embeddings()[None])[0])
    path = tmp_path / FOLDER / "pre_gate.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ServerError, match="damaged"):
        load_pre_gate(tmp_path)
    with pytest.raises(InvalidArgument, match="has no pre-gate"):
        load_pre_gate(tmp_path / FOLDER)
