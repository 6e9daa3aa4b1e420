"""Sliding windows and attention sinks in both decoders, against attention written out in torch."""

from __future__ import annotations

import pytest
import torch
from small_decoder import (
    PAGES,
    Make,
    in_parts,
    in_torch,
    small_model,
    some_tokens,
    whole_text,
)

from expertrag_kernels import Format, cpu_experts
from expertrag_kernels.cpu_experts import ISAS
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.steps import SequenceRows
from expertrag_kernels.torch_decoder import TorchDecoder

MAKES = [Decoder, in_torch(torch.float32)]
WINDOWS = (1, 2, 30, 63, 64, 65, 66, 100, 199, 200, 1000)
_SINKS = torch.tensor([-3.0, 0.5, 2.0, 40.0])  # the last one takes nearly everything


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every instruction set of this machine."""
    chosen: str = request.param
    monkeypatch.setattr(cpu_experts, "ISAS", (chosen,))
    return chosen


@pytest.mark.parametrize("make", MAKES, ids=["cpu", "gpu"])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("sinks", [None, _SINKS], ids=["", "sinks"])
def test_logits_equal_torch(make: Make, window: int, sinks: torch.Tensor | None) -> None:
    model = small_model(Format.F32, make, window=window, sinks=sinks)
    for length in (1, 63, 64, 65, 200):
        tokens = some_tokens(length, length)
        found = whole_text(model, tokens, torch.tensor([7, 0, 11, 3]))
        torch.testing.assert_close(found, model.expected(tokens), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("window", [0, 1, 40, 64, 70])
def test_a_row_is_the_same_in_any_batch(isa: str, format: Format, window: int) -> None:
    model = small_model(format, window=window, sinks=_SINKS)
    one, other = some_tokens(140, 2), some_tokens(67, 3)
    alone = (
        whole_text(model, one, torch.tensor([0, 1, 2])),
        whole_text(model, other, torch.tensor([3, 4])),
    )
    wanted = model.expected(one)
    most = {
        Format.F32: 1e-5, Format.BF16: 0.02, Format.INT8: 0.05, Format.INT4: 0.3, Format.MXFP4: 0.4,
    }[format]  # fmt: skip
    assert (alone[0] - wanted).norm() / wanted.norm() < most
    found = in_parts(model, (one, other), (torch.tensor([4, 0, 3]), torch.tensor([2, 1])))
    for parts, whole in zip(found, alone, strict=True):
        assert torch.equal(parts, whole)
    rows = [
        model.decoder.run(
            one[p : p + 1],
            torch.tensor([p]),
            [SequenceRows(0, 1, torch.tensor([4, 0, 3]))],
            torch.tensor([0]),
        )[0][0]
        for p in range(len(one))
    ]
    assert torch.equal(torch.stack(rows), alone[0])


@pytest.mark.parametrize("make", MAKES, ids=["cpu", "gpu"])
@pytest.mark.parametrize("window", [1, 64, 65, 97])
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_pages_before_the_window_are_not_read(make: Make, window: int, rows: int) -> None:
    model = small_model(Format.F32, make, window=window)
    tokens, pages = some_tokens(200, 1), torch.tensor([7, 0, 11, 3])
    whole = whole_text(model, tokens, pages)
    first = 200 - rows
    passed = max(0, first - window + 1) // 64
    assert passed >= 1
    for page in pages[:passed].tolist():
        _poison(model.decoder, page)
    places = torch.arange(first, 200)
    texts = [SequenceRows(0, rows, pages)]
    found = model.decoder.run(tokens[first:], places, texts, torch.arange(rows))[0]
    if make is Decoder:
        assert torch.equal(found, whole[first:])
    torch.testing.assert_close(found, whole[first:], atol=1e-4, rtol=1e-4)


def _poison(decoder: object, page: int) -> None:
    """Fill a page with NaN."""
    if isinstance(decoder, Decoder):
        decoder._cache.view(PAGES, -1)[page] = 0xFF
    else:
        assert isinstance(decoder, TorchDecoder)
        for cache in (decoder._keys, decoder._values):
            cache.unflatten(1, (-1, 64))[:, page] = torch.nan


@pytest.mark.parametrize("make", MAKES, ids=["cpu", "gpu"])
def test_a_decoder_knows_its_longest_sequence(make: Make) -> None:
    full, narrow = small_model(Format.F32, make), small_model(Format.F32, make, window=100)
    assert (full.decoder.window, narrow.decoder.window) == (0, 100)
    assert full.decoder.most_tokens == PAGES * 64
    rows = narrow.decoder.step_rows
    enough = (100 + rows) // 64 + 2 <= PAGES
    assert narrow.decoder.most_tokens == (narrow.decoder.positions if enough else PAGES * 64)
