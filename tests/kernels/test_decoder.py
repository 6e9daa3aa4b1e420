"""A decoder of a few steps against torch: every instruction set, format and shape of a batch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_decoder import (
    GROUPS,
    HIDDEN,
    LONGEST,
    PAGES,
    VOCABULARY,
    Make,
    in_parts,
    in_torch,
    small_model,
    some_tokens,
    whole_text,
)

from expertrag_kernels import Format, cpu_experts, layout
from expertrag_kernels.cpu_experts import ISAS
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.packed import PackedMatrix
from expertrag_kernels.steps import OUTPUT, CacheShape, SequenceRows, SlotView


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every instruction set of this machine."""
    chosen: str = request.param
    monkeypatch.setattr(cpu_experts, "ISAS", (chosen,))
    return chosen


@pytest.mark.parametrize(
    ("format", "most"),
    [
        (Format.F32, 1e-5),
        (Format.BF16, 0.02),
        (Format.INT8, 0.05),
        (Format.INT4, 0.3),
        (Format.MXFP4, 0.5),
    ],
)
def test_logits_equal_torch(isa: str, format: Format, most: float) -> None:
    model = small_model(format)
    tokens = some_tokens(150, 1)
    wanted = model.expected(tokens)
    found = whole_text(model, tokens, torch.tensor([7, 0, 11]))
    assert (found - wanted).norm() / wanted.norm() < most


@pytest.mark.parametrize("format", list(Format))
def test_a_row_is_the_same_in_any_batch(isa: str, format: Format) -> None:
    model = small_model(format)
    one, other = some_tokens(140, 2), some_tokens(67, 3)
    alone = (
        whole_text(model, one, torch.tensor([0, 1, 2])),
        whole_text(model, other, torch.tensor([3, 4])),
    )
    # on pages that others have used
    found = in_parts(model, (one, other), (torch.tensor([4, 0, 3]), torch.tensor([2, 1])))
    for parts, whole in zip(found, alone, strict=True):
        assert torch.equal(parts, whole)


@pytest.mark.parametrize("format", list(Format))
def test_picked_rows_are_the_same_without_the_others(isa: str, format: Format) -> None:
    model = small_model(format)
    tokens = some_tokens(140, 4)
    places, whole = torch.arange(140), whole_text(model, tokens, torch.tensor([0, 1, 2]))
    texts, watched = [SequenceRows(0, 140, torch.tensor([5, 3, 4]))], torch.tensor([7, 90, 91])
    seen = model.decoder.run(tokens, places, texts, places, watched)[1]
    picked = torch.tensor([139, 3, 64, 65, 3])
    logits, kept = model.decoder.run(tokens, places, texts, picked, watched)
    assert torch.equal(logits, whole[picked])
    assert torch.equal(kept[0], seen[0])
    # what nobody looks at leaves its keys and values
    texts = [SequenceRows(0, 130, torch.tensor([6, 8, 9]))]
    model.decoder.run(tokens[:130], places[:130], texts, torch.empty(0, dtype=torch.long))
    texts = [SequenceRows(0, 10, torch.tensor([6, 8, 9]))]
    logits, _ = model.decoder.run(tokens[130:], places[130:], texts, torch.tensor([9]))
    assert torch.equal(logits, whole[139:])


def test_threads_do_not_change_the_result() -> None:
    model = small_model(Format.BF16)
    tokens = torch.arange(70)
    two = whole_text(model, tokens, torch.tensor([0, 1]))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert torch.equal(whole_text(model, tokens, torch.tensor([2, 3])), two)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("format", [Format.F32, Format.BF16])
@pytest.mark.parametrize("length", [64, 65, 66])
def test_old_contents_of_a_page_do_not_matter(format: Format, length: int) -> None:
    model = small_model(format)
    assert isinstance(model.decoder, Decoder)
    model.decoder._cache.fill_(0xFF)  # NaN in both formats; zeros are needed around a key's width
    shape = model.decoder.shape
    keys = shape.page_bytes() // GROUPS - layout.block_bytes(format, 64)
    heads = model.decoder._cache.view(PAGES * GROUPS, -1)
    heads[:, :keys] = 0
    tokens = torch.arange(length) % VOCABULARY
    found = whole_text(model, tokens, torch.tensor([5, 6]))
    wanted = model.expected(tokens)
    assert (found - wanted).norm() / wanted.norm() < 0.02


@pytest.mark.parametrize("make", [Decoder, in_torch(torch.float32)])
def test_picked_and_watched_rows(make: Make) -> None:
    model = small_model(Format.F32, make)
    tokens = torch.arange(20)
    whole = whole_text(model, tokens, torch.tensor([0]))
    logits, (kept,) = model.decoder.run(
        tokens,
        torch.arange(20),
        [SequenceRows(0, 20, torch.tensor([1]))],
        torch.tensor([19, 3]),
        torch.tensor([3, 4]),
    )
    torch.testing.assert_close(logits, whole[[19, 3]])
    assert kept.shape == (2, HIDDEN)
    assert torch.allclose(kept[0] @ model.table.T, logits[1], atol=1e-3)


@pytest.mark.parametrize("make", [Decoder, in_torch(torch.float32)])
def test_a_copied_page_continues_like_the_original(make: Make) -> None:
    model = small_model(Format.F32, make)
    tokens = torch.arange(70)
    whole = whole_text(model, tokens, torch.tensor([0, 1]))
    model.decoder.copy_page(0, 5)
    rest = model.decoder.run(
        tokens[40:],
        torch.arange(40, 70),
        [SequenceRows(0, 30, torch.tensor([5, 6]))],
        torch.arange(30),
    )[0]
    torch.testing.assert_close(rest, whole[40:])


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("shape", [(1, 1), (64, 32), (70, 48), (200, 131)])
def test_matrices_are_packed_as_in_torch(isa: str, format: Format, shape: tuple[int, int]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(3)).bfloat16()
    ours: PackedMatrix = cpu_experts.pack_matrix(weight, format)
    oracle = layout.pack_matrix(weight, format)
    assert (ours.outputs, ours.inputs) == (oracle.outputs, oracle.inputs) == shape
    if format is not Format.INT4:  # where ranges tie
        assert torch.equal(ours.data, oracle.data)


@pytest.mark.parametrize(
    ("positions", "texts", "complaint"),
    [
        ([0, 1, 2], [SequenceRows(0, 2, torch.tensor([0]))], "all rows"),
        (
            [0, 1, 2],
            [SequenceRows(0, 2, torch.tensor([0])), SequenceRows(1, 3, torch.tensor([0]))],
            "all rows",
        ),
        ([0, 1], [SequenceRows(0, 3, torch.tensor([0]))], "each with a position"),
        ([254, 255, LONGEST], [SequenceRows(0, 3, torch.arange(5))], "limit of 256"),
        ([62, 63, 64], [SequenceRows(0, 3, torch.tensor([0]))], "position 64 has no page"),
        ([0, 1, 2], [SequenceRows(0, 3, torch.tensor([PAGES]))], "pages must be from 0 to 11"),
    ],
)
def test_rejects_inconsistent_batches(
    positions: list[int], texts: list[SequenceRows], complaint: str
) -> None:
    model = small_model(Format.F32)
    with pytest.raises(ValueError, match=complaint):
        model.decoder.run(torch.arange(3), torch.tensor(positions), texts, torch.tensor([2]))


@pytest.mark.parametrize("make", [Decoder, in_torch(torch.float32)])
def test_rejects_tokens_outside_the_vocabulary(make: Make) -> None:
    model = small_model(Format.F32, make)
    one = torch.tensor([0])
    for token in (-1, VOCABULARY):
        with pytest.raises(ValueError, match="tokens must be from 0 to 69"):
            model.decoder.run(torch.tensor([token]), one, [SequenceRows(0, 1, one)], one)
    with pytest.raises(ValueError, match="rows must be from 0 to 0"):
        model.decoder.run(one, one, [SequenceRows(0, 1, one)], torch.tensor([1]))


@pytest.mark.parametrize("make", [Decoder, in_torch(torch.float32)])
@pytest.mark.parametrize("width", [48, 37])
def test_scaled_rows_and_layer_norms(make: Make, width: int) -> None:
    """Rows of an embedding table, times 3, are kept times 0.5 and normalised."""
    torch.manual_seed(0)
    table, weight, bias = torch.randn(VOCABULARY, width) + 2, torch.randn(width), torch.randn(width)
    d = make(CacheShape(1, 1, 8, 8, format=Format.F32), 1)
    x, key, last = d.slot(width), d.slot(8), d.slot(width)
    d.embed(x, d.matrix(table, Format.F32), 3.0)
    angles = torch.zeros(64, 4)
    d.rope(SlotView(key.slot, 0, 8), 1, angles, angles, interleaved=False)  # positions
    d.keep(x, width, 0.5)
    d.norm(x, x, weight, 1e-2, bias=bias)
    d.pick(x, last)
    d.linear(last, OUTPUT, d.matrix(torch.eye(width), Format.F32))
    tokens, places = torch.arange(20), torch.arange(20)
    texts = [SequenceRows(0, 20, torch.tensor([0]))]
    found, (kept,) = d.run(tokens, places, texts, places, places[3:5])
    torch.testing.assert_close(kept, table[3:5] * 1.5)
    wanted = F.layer_norm(table[:20] * 3, (width,), weight, bias, 1e-2)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
