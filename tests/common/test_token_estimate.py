"""Estimated tokens are rather too many than too few."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from expertrag_common.token_estimate import estimate_tokens


@pytest.mark.parametrize(
    "text",
    [
        "The lease ends on 31 March; either party may give notice six months before.",
        "Der Urlaub wird bei der Teamleitung beantragt und nicht auf das Jahr danach übertragen.",
        "def f(x): return [y ** 2 for y in range(10)]  # 1,024 or 2,048",
        "IBAN DE89 3704 0044 0532 0130 00",
    ],
)
def test_estimate(text: str, minilm_path: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(minilm_path)
    real = len(tokenizer(text)["input_ids"])
    assert 0.8 * real <= estimate_tokens(text) <= 2.5 * real
    assert estimate_tokens("") == 0
