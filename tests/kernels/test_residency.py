"""A decoder whose experts are not all in memory gives the bits of one that has them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from expertrag_kernels import (
    Format,
    PackedExperts,
    PackedMatrix,
    PlainExperts,
    cpu_experts,
    load_packed,
    save_packed,
)
from expertrag_kernels.cpu_experts import ISAS
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.files import Packed
from expertrag_kernels.residency import ExpertReads
from expertrag_kernels.router import Router
from expertrag_kernels.steps import OUTPUT, AttentionViews, CacheShape, SequenceRows, SlotView

HIDDEN, INNER, EXPERTS, TOP_K, LAYERS, WORDS = 96, 128, 16, 3, 4, 50
HEADS, WIDTH, PAGES = 2, 32, 12


def made(format: Format, path: Path) -> None:
    """Write the weights of a mixture with attention, a dense layer and a shared expert."""
    generator = torch.Generator().manual_seed(5)
    exact = Format.F32 if format is Format.F32 else Format.BF16

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).mul(shape[-1] ** -0.5)

    def experts(count: int) -> PackedExperts:
        plain = PlainExperts(normal(count, 2 * INNER, HIDDEN), normal(count, HIDDEN, INNER))
        return cpu_experts.pack_plain(plain, format)

    weights: dict[str, Packed] = {
        "table": cpu_experts.pack_matrix(normal(WORDS, HIDDEN) * 8, exact),
        "norm": torch.ones(HIDDEN),
    }
    for layer in range(LAYERS):
        weights[f"{layer}.qkv"] = cpu_experts.pack_matrix(normal(3 * HEADS * WIDTH, HIDDEN), format)
        weights[f"{layer}.out"] = cpu_experts.pack_matrix(normal(HIDDEN, HEADS * WIDTH), format)
        weights[f"{layer}.router"] = cpu_experts.pack_matrix(normal(EXPERTS, HIDDEN) * 3, exact)
        weights[f"{layer}.experts"] = experts(EXPERTS)
        weights[f"{layer}.shared"] = experts(1)
    save_packed(weights, path)


def planned(path: Path) -> Decoder:
    """Plan the steps on mapped weights."""
    packed = load_packed(path, mixtures_mapped=True)
    norm, table = packed["norm"], packed["table"]
    assert isinstance(norm, torch.Tensor) and isinstance(table, PackedMatrix)
    exact = Format.F32 if table.format is Format.F32 else Format.BF16
    d = Decoder(CacheShape(LAYERS, HEADS, WIDTH, WIDTH, format=exact), PAGES)
    x, y, last = d.slot(HIDDEN), d.slot(HIDDEN), d.slot(HIDDEN)
    both, heads, logits = d.slot(3 * HEADS * WIDTH), d.slot(HEADS * WIDTH), d.slot(EXPERTS)
    query, key, value = (SlotView(both.slot, part * HEADS * WIDTH, WIDTH) for part in range(3))
    angles = torch.arange(PAGES * 64)[:, None] / 10.0 ** torch.arange(WIDTH // 2)[None]
    d.embed(x, table)
    for layer in range(LAYERS):
        qkv, out, router = (packed[f"{layer}.{name}"] for name in ("qkv", "out", "router"))
        experts, shared = packed[f"{layer}.experts"], packed[f"{layer}.shared"]
        assert isinstance(qkv, PackedMatrix) and isinstance(out, PackedMatrix)
        assert isinstance(router, PackedMatrix) and isinstance(experts, PackedExperts)
        assert isinstance(shared, PackedExperts) and shared.mapped is None
        d.norm(x, y, norm, 1e-6)
        d.linear(y, both, qkv)
        for turned in (query, key):
            d.rope(turned, HEADS, angles.cos(), angles.sin(), interleaved=False)
        to = SlotView(heads.slot, 0, WIDTH)
        d.attend(AttentionViews(query, key, value, to), layer=layer, heads=HEADS, scale=0.2)
        d.linear(heads, x, out, add=True)
        d.norm(x, y, norm, 1e-6)
        d.linear(y, logits, router)
        d.route(logits, Router(EXPERTS, TOP_K))
        d.mix(y, x, experts, TOP_K)
        d.mix(y, x, shared)
    d.pick(x, last)
    d.linear(last, OUTPUT, table)
    return d


Open = torch.Tensor | None


def answers(
    decoder: Decoder,
    threads: int = 2,
    chosen: Sequence[int] = (-1, -1),
    patterns: tuple[Open, Open] = (None, None),
) -> torch.Tensor:
    """Logits of two texts: prompts in one step, then both in decode, then one alone."""
    generator = torch.Generator().manual_seed(9)
    texts = [torch.randint(WORDS, (length,), generator=generator) for length in (90, 100)]
    pages = [torch.tensor([4, 0]), torch.tensor([2, 7])]
    found = []
    steps = [((0, 70), (0, 60)), *(((t, t + 1), (t - 10, t - 9)) for t in range(70, 90))]
    for first, second in steps:
        tokens = torch.cat([texts[0][slice(*first)], texts[1][slice(*second)]])
        places = torch.cat([torch.arange(*first), torch.arange(*second)])
        middle, end = first[1] - first[0], len(tokens)
        sequences = [
            SequenceRows(0, middle, pages[0], chosen[0], open=patterns[0]),
            SequenceRows(middle, end, pages[1], chosen[1], open=patterns[1]),
        ]
        found.append(decoder.run(tokens, places, sequences, torch.arange(end), threads=threads)[0])
    for t in range(80, 100):  # the other one, with nothing beside it
        rows = [SequenceRows(0, 1, pages[1], chosen[1], open=patterns[1])]
        place, only = torch.tensor([t]), torch.tensor([0])
        found.append(decoder.run(texts[1][place], place, rows, only, threads=threads)[0])
    return torch.cat(found)


def limited(path: Path, share: float) -> Decoder:
    """Return a decoder with memory for a share of the experts, 0 for as few as possible."""
    decoder = planned(path)
    least = decoder.least_experts_bytes
    decoder.limit_experts(max(least, int(least / TOP_K * EXPERTS * LAYERS * share)))
    return decoder


def read_by(decoder: Decoder) -> ExpertReads:
    reads = decoder.expert_reads
    assert reads is not None
    return reads


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every instruction set of this machine."""
    chosen: str = request.param
    monkeypatch.setattr(cpu_experts, "ISAS", (chosen,))
    return chosen


@pytest.mark.parametrize("format", list(Format))
def test_answers_are_the_same_with_any_memory(isa: str, format: Format, tmp_path: Path) -> None:
    made(format, path := tmp_path / "packed.safetensors")
    for chosen in ((-1, -1), (3, -1), (11, 2)):
        wanted = answers(planned(path), chosen=chosen)
        for share in (1.0, 0.6, 0.4, 0.0):
            for threads in (1, 2):
                found = answers(limited(path, share), threads, chosen)
                assert torch.equal(found, wanted), (share, threads, chosen)


def test_counts_what_is_read(tmp_path: Path) -> None:
    made(Format.BF16, path := tmp_path / "packed.safetensors")
    whole = limited(path, 1.0)
    answers(whole)
    first = read_by(whole)
    answers(whole)
    again = read_by(whole)
    assert again.bytes_read == first.bytes_read <= path.stat().st_size
    assert again.misses == first.misses and again.hits > first.hits > 0
    assert 0 < first.stalled_seconds < 60
    least = limited(path, 0.0)
    answers(least)
    assert read_by(least).bytes_read > 3 * first.bytes_read
    assert planned(path).expert_reads is None


def test_reads_ahead_exactly_where_the_text_chooses_the_expert(tmp_path: Path) -> None:
    made(Format.BF16, path := tmp_path / "packed.safetensors")
    decoder = limited(path, 0.4)
    answers(decoder, chosen=(3, 7))
    found = read_by(decoder)
    own = decoder.least_experts_bytes // TOP_K
    # two experts in each layer, each read once; not even the first layer's are asked for twice
    assert found.bytes_read <= 2 * LAYERS * own
    assert found.misses <= 2 * LAYERS and found.read_ahead + found.misses == 2 * LAYERS


def _pattern(experts: Sequence[int]) -> torch.Tensor:
    marks = torch.zeros(LAYERS, EXPERTS, dtype=torch.bool)
    marks[:, list(experts)] = True
    return marks


def test_patterns_give_the_same_with_any_memory(isa: str, tmp_path: Path) -> None:
    made(Format.BF16, path := tmp_path / "packed.safetensors")
    even, odd = _pattern(range(0, EXPERTS, 2)), _pattern(range(1, EXPERTS, 2))
    plain = answers(planned(path))
    for patterns in ((even, even), (even, odd), (None, odd)):
        wanted = answers(planned(path), patterns=patterns)
        assert not torch.equal(wanted, plain)
        for share in (1.0, 0.5, 0.0):
            decoder = limited(path, share)
            decoder.prefer_experts([pattern for pattern in patterns if pattern is not None])
            assert torch.equal(answers(decoder, patterns=patterns), wanted), share


def _settled(decoder: Decoder) -> ExpertReads:
    """Wait until nothing is read any more."""
    found = None
    while found != (found := read_by(decoder)):
        time.sleep(0.2)
    return found


def test_preferred_experts_are_read_before_they_are_needed_and_stay(tmp_path: Path) -> None:
    made(Format.BF16, path := tmp_path / "packed.safetensors")
    even, odd = _pattern(range(0, EXPERTS, 2)), _pattern(range(1, EXPERTS, 2))
    decoder = limited(path, 0.5)
    decoder.prefer_experts([even])
    _settled(decoder)
    answers(decoder, patterns=(even, even))
    first = read_by(decoder)
    assert first.misses == 0 and first.hits > first.read_ahead > 0
    answers(decoder, patterns=(even, odd))  # the odd ones share what gives way to them
    decoder.prefer_experts([odd])
    before = _settled(decoder)
    answers(decoder, patterns=(odd, odd))
    after = read_by(decoder)
    assert after.misses == before.misses > 0 and after.bytes_read == before.bytes_read
    decoder.prefer_experts([])
    answers(decoder)
    assert read_by(decoder).misses > after.misses
    planned(path).prefer_experts([even])  # all of its experts are in memory


def test_a_truncated_file_is_an_error_and_the_next_step_may_run(tmp_path: Path) -> None:
    made(Format.F32, path := tmp_path / "packed.safetensors")
    wanted = answers(planned(path))
    decoder = limited(path, 0.4)
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(len(whole) // 3)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"^packed\.safetensors ends before its weights do"):
            answers(decoder)
    with path.open("r+b") as file:
        file.write(whole)
    assert torch.equal(answers(decoder), wanted)


def test_two_threads_may_run_steps(tmp_path: Path) -> None:
    made(Format.F32, path := tmp_path / "packed.safetensors")
    decoder = limited(path, 0.0)
    tokens, place = torch.arange(40), torch.arange(40)

    def run(page: int) -> torch.Tensor:
        rows = [SequenceRows(0, 40, torch.tensor([page]))]
        return decoder.run(tokens, place, rows, place, threads=1)[0]

    wanted = run(0)
    found: dict[int, torch.Tensor] = {}

    def repeat(page: int) -> None:
        for _ in range(10):
            found[page] = run(page)

    threads = [threading.Thread(target=repeat, args=(page,)) for page in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(found[1], wanted) and torch.equal(found[2], wanted)


def test_what_cannot_be_limited(tmp_path: Path) -> None:
    made(Format.F32, path := tmp_path / "packed.safetensors")
    decoder = planned(path)
    with pytest.raises(ValueError, match=rf"need {decoder.least_experts_bytes} bytes; got 1"):
        decoder.limit_experts(1)
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(RuntimeError, match="cannot be opened"):
        decoder.limit_experts(1 << 30)
    dense = Decoder(CacheShape(1, HEADS, WIDTH, WIDTH, format=Format.F32), PAGES)
    assert dense.least_experts_bytes == 0
    with pytest.raises(ValueError, match="only mixtures"):
        dense.limit_experts(1 << 30)
