"""A decoder of a few steps against torch: every instruction set, format and shape of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from expertrag_kernels import Format, PlainExperts, cpu_experts, layout, pack
from expertrag_kernels.cpu_experts import ISAS
from expertrag_kernels.decoder import OUTPUT, CacheShape, Decoder, Text, View
from expertrag_kernels.packed import PackedMatrix

_HIDDEN, _HEADS, _GROUPS, _WIDTH, _VALUE, _VOCABULARY, _PAGES = 48, 4, 2, 20, 12, 70, 12
_KEYS = _GROUPS * _WIDTH
_LONGEST = 4 * 64


@dataclass
class Model:
    """One layer of attention and a dense layer, in our steps and in torch."""

    decoder: Decoder
    table: torch.Tensor
    qkv: torch.Tensor
    out: torch.Tensor
    experts: PlainExperts
    cos: torch.Tensor
    sin: torch.Tensor

    def expected(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (T, V) of a text, in float32."""
        x = self.table[tokens]
        y = F.rms_norm(x, (_HIDDEN,), eps=1e-6)
        q, k, v = (y @ self.qkv.T).split([_HEADS * _WIDTH, _KEYS, _GROUPS * _VALUE], dim=1)
        q, k = (
            self._turned(q.view(len(x), _HEADS, _WIDTH)),
            self._turned(k.view(len(x), -1, _WIDTH)),
        )
        repeated = k.repeat_interleave(2, dim=1), v.view(len(x), -1, _VALUE).repeat_interleave(2, 1)
        q, k, v = (part.transpose(0, 1)[None] for part in (q, *repeated))
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3)
        x = x + heads[0].transpose(0, 1).flatten(1) @ self.out.T
        gate, up = (x @ self.experts.gate_up[0].T).chunk(2, dim=1)
        return (x + (F.silu(gate) * up) @ self.experts.down[0].T) @ self.table.T

    def _turned(self, heads: torch.Tensor) -> torch.Tensor:
        half = self.cos.shape[1]
        cos, sin = (part[: len(heads), None] for part in (self.cos, self.sin))
        a, b, rest = heads.split([half, half, _WIDTH - 2 * half], dim=2)
        return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], dim=2)


def _model(format: Format) -> Model:
    torch.manual_seed(0)
    table = torch.randn(_VOCABULARY, _HIDDEN)
    qkv = torch.randn((_HEADS + _GROUPS) * _WIDTH + _GROUPS * _VALUE, _HIDDEN) / 7
    out = torch.randn(_HIDDEN, _HEADS * _VALUE) / 7
    experts = PlainExperts(torch.randn(1, 72, _HIDDEN) / 7, torch.randn(1, _HIDDEN, 36) / 6)
    angles = torch.arange(_LONGEST)[:, None] * torch.rand(8)[None]
    exact = Format.F32 if format is Format.F32 else Format.BF16
    d = Decoder(CacheShape(1, _GROUPS, _WIDTH, _VALUE, format=exact), _PAGES)
    x, y, both = d.slot(_HIDDEN), d.slot(_HIDDEN), d.slot(qkv.shape[0])
    heads, last = d.slot(_HEADS * _VALUE), d.slot(_HIDDEN)
    packed_table = cpu_experts.pack_matrix(table, format)
    d.embed(x, packed_table)
    d.norm(x, y, torch.ones(_HIDDEN), 1e-6)
    d.linear(y, both, cpu_experts.pack_matrix(qkv, format))
    query, key = View(both.slot, 0, _WIDTH), View(both.slot, _HEADS * _WIDTH, _WIDTH)
    value = View(both.slot, (_HEADS + _GROUPS) * _WIDTH, _VALUE)
    for view, count in ((query, _HEADS), (key, _GROUPS)):
        d.rope(view, count, angles.cos(), angles.sin(), interleaved=False)
    d.attend(query, key, value, View(heads.slot, 0, _VALUE), layer=0, heads=_HEADS, scale=0.3)
    d.linear(heads, x, cpu_experts.pack_matrix(out, format), add=True)
    d.mix(x, x, pack(experts, format))
    d.keep(x, _HIDDEN)
    d.pick(x, last)
    d.linear(last, OUTPUT, packed_table)
    return Model(d, table, qkv, out, experts, angles.cos(), angles.sin())


def _whole(model: Model, tokens: torch.Tensor, pages: torch.Tensor) -> torch.Tensor:
    places = torch.arange(len(tokens))
    return model.decoder.run(tokens, places, [Text(0, len(tokens), pages)], places)[0]


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every instruction set that this machine has."""
    chosen: str = request.param
    monkeypatch.setattr(cpu_experts, "ISAS", (chosen,))
    return chosen


@pytest.mark.parametrize(
    ("format", "most"),
    [(Format.F32, 1e-5), (Format.BF16, 0.02), (Format.INT8, 0.05), (Format.INT4, 0.3)],
)
def test_logits_are_those_of_torch(isa: str, format: Format, most: float) -> None:
    model = _model(format)
    tokens = torch.randint(_VOCABULARY, (150,), generator=torch.Generator().manual_seed(1))
    wanted = model.expected(tokens)
    found = _whole(model, tokens, torch.tensor([7, 0, 11]))
    assert (found - wanted).norm() / wanted.norm() < most


@pytest.mark.parametrize("format", list(Format))
def test_a_row_is_the_same_in_any_batch(isa: str, format: Format) -> None:
    model = _model(format)
    draw = torch.Generator().manual_seed(2)
    one, other = (torch.randint(_VOCABULARY, (length,), generator=draw) for length in (140, 67))
    alone = _whole(model, one, torch.tensor([0, 1, 2])), _whole(model, other, torch.tensor([3, 4]))
    # in parts, with rows of the other text between them, on pages that others have used
    run, pages = model.decoder.run, (torch.tensor([4, 0, 3]), torch.tensor([2, 1]))
    found: list[list[torch.Tensor]] = [[], []]
    for first, second in (((0, 61), (0, 1)), ((61, 62), (1, 60)), ((62, 140), (60, 67))):
        rows = [one[slice(*first)], other[slice(*second)]]
        places = [torch.arange(*first), torch.arange(*second)]
        middle, end = len(rows[0]), len(rows[0]) + len(rows[1])
        texts = [Text(0, middle, pages[0]), Text(middle, end, pages[1])]
        logits, _ = run(torch.cat(rows), torch.cat(places), texts, torch.arange(end))
        found[0].append(logits[:middle])
        found[1].append(logits[middle:])
    for parts, whole in zip(found, alone, strict=True):
        assert torch.equal(torch.cat(parts), whole)


def test_threads_change_nothing() -> None:
    model = _model(Format.BF16)
    tokens = torch.arange(70)
    two = _whole(model, tokens, torch.tensor([0, 1]))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert torch.equal(_whole(model, tokens, torch.tensor([2, 3])), two)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("format", [Format.F32, Format.BF16])
@pytest.mark.parametrize("length", [64, 65, 66])
def test_what_a_page_held_before_does_not_matter(format: Format, length: int) -> None:
    model = _model(format)
    model.decoder._cache.fill_(0xFF)  # NaN in both formats; zeros are needed beside a key's width
    shape = model.decoder.shape
    keys = shape.page_bytes() // _GROUPS - layout.block_bytes(format, 64)
    heads = model.decoder._cache.view(_PAGES * _GROUPS, -1)
    heads[:, :keys] = 0
    tokens = torch.arange(length) % _VOCABULARY
    found = _whole(model, tokens, torch.tensor([5, 6]))
    wanted = model.expected(tokens)
    assert (found - wanted).norm() / wanted.norm() < 0.02


def test_picked_and_watched_rows() -> None:
    model = _model(Format.F32)
    tokens = torch.arange(20)
    whole = _whole(model, tokens, torch.tensor([0]))
    logits, (kept,) = model.decoder.run(
        tokens,
        torch.arange(20),
        [Text(0, 20, torch.tensor([1]))],
        torch.tensor([19, 3]),
        torch.tensor([3, 4]),
    )
    assert torch.equal(logits, whole[[19, 3]])
    assert kept.shape == (2, _HIDDEN)
    assert torch.allclose(kept[0] @ model.table.T, logits[1], atol=1e-3)


def test_a_copied_page_continues_as_the_first() -> None:
    model = _model(Format.BF16)
    tokens = torch.arange(70)
    whole = _whole(model, tokens, torch.tensor([0, 1]))
    model.decoder.copy_page(0, 5)
    rest = model.decoder.run(
        tokens[40:],
        torch.arange(40, 70),
        [Text(0, 30, torch.tensor([5, 6]))],
        torch.arange(30),
    )[0]
    assert torch.equal(rest, whole[40:])


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("shape", [(1, 1), (64, 32), (70, 48), (200, 131)])
def test_matrices_are_packed_as_by_torch(isa: str, format: Format, shape: tuple[int, int]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(3)).bfloat16()
    ours: PackedMatrix = cpu_experts.pack_matrix(weight, format)
    oracle = layout.packed_matrix(weight, format)
    assert (ours.outputs, ours.inputs) == (oracle.outputs, oracle.inputs) == shape
    if format is not Format.INT4:  # where ranges tie
        assert torch.equal(ours.data, oracle.data)


@pytest.mark.parametrize(
    ("positions", "texts", "complaint"),
    [
        ([0, 1, 2], [Text(0, 2, torch.tensor([0]))], "all rows"),
        ([0, 1, 2], [Text(0, 2, torch.tensor([0])), Text(1, 3, torch.tensor([0]))], "all rows"),
        ([0, 1], [Text(0, 3, torch.tensor([0]))], "each with a position"),
        ([254, 255, _LONGEST], [Text(0, 3, torch.arange(5))], "beyond the decoder's 256"),
        ([62, 63, 64], [Text(0, 3, torch.tensor([0]))], "position 64 has no page"),
        ([0, 1, 2], [Text(0, 3, torch.tensor([_PAGES]))], "pages 0 to 11"),
    ],
)
def test_what_does_not_fit_is_refused(
    positions: list[int], texts: list[Text], complaint: str
) -> None:
    model = _model(Format.F32)
    with pytest.raises(ValueError, match=complaint):
        model.decoder.run(torch.arange(3), torch.tensor(positions), texts, torch.tensor([2]))


def test_tokens_outside_the_table_are_refused() -> None:
    model = _model(Format.F32)
    one = torch.tensor([0])
    for token in (-1, _VOCABULARY):
        with pytest.raises(ValueError, match="tokens must be 0 to 69"):
            model.decoder.run(torch.tensor([token]), one, [Text(0, 1, one)], one)
    with pytest.raises(ValueError, match="rows 0 to 0"):
        model.decoder.run(one, one, [Text(0, 1, one)], torch.tensor([1]))
