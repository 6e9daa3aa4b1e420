"""The decoder for GPUs, tested on the CPU: the same steps in torch; graphs need a GPU."""

from __future__ import annotations

import pytest
import torch
from small_decoder import PAGES, Model, in_parts, in_torch, small_model, some_tokens, whole_text

from expertrag_kernels import Format
from expertrag_kernels.gpu.graphs import fill, spare_rows
from expertrag_kernels.steps import SequenceRows
from expertrag_kernels.torch_decoder import TorchDecoder
from expertrag_kernels.torch_rows import SHORT_ROWS, rows_of

_CPU = torch.device("cpu")
_TYPES = {torch.float32: (Format.F32, 1e-5), torch.bfloat16: (Format.BF16, 0.03)}


def _model(dtype: torch.dtype) -> Model:
    return small_model(_TYPES[dtype][0], in_torch(dtype))


@pytest.mark.parametrize("dtype", _TYPES)
def test_logits_equal_torch(dtype: torch.dtype) -> None:
    model = _model(dtype)
    tokens = some_tokens(150, 1)
    wanted = model.expected(tokens)
    found = whole_text(model, tokens, torch.tensor([7, 0, 11]))
    assert (found - wanted).norm() / wanted.norm() < _TYPES[dtype][1]


def test_a_row_is_the_same_in_any_batch() -> None:
    model = _model(torch.float32)
    one, other = some_tokens(140, 2), some_tokens(67, 3)
    found = in_parts(model, (one, other), (torch.tensor([4, 0, 3]), torch.tensor([2, 1])))
    for parts, tokens in zip(found, (one, other), strict=True):
        torch.testing.assert_close(parts, model.expected(tokens), atol=1e-4, rtol=1e-4)


def test_graph_rows_give_the_results_of_the_batch() -> None:
    """A captured graph runs on fixed rows, into which a batch is copied; the rest is padding."""
    model = _model(torch.float32)
    decoder = model.decoder
    assert isinstance(decoder, TorchDecoder)
    tokens = torch.arange(70)
    whole = whole_text(model, tokens, torch.tensor([2, 9]))
    own = spare_rows(4, PAGES, PAGES, _CPU)
    with torch.inference_mode():
        decoder.compute(own)  # as a capture does; nobody's page takes it
        last = SequenceRows(0, 3, torch.tensor([2, 9]))
        rows = rows_of(tokens[67:], torch.arange(67, 70), [last], _CPU)
        fill(own, rows, PAGES)
        decoder.compute(own)
    torch.testing.assert_close(own.logits[:3], whole[67:])
    assert SHORT_ROWS >= 3
    assert torch.isfinite(own.logits).all()
