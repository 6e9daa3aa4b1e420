"""Fixed experts of a split model, and its tables."""

from __future__ import annotations

from typing import Any

import torch
from eval_split import all_but
from split_tables import kept, pre_gate, supers

_RISE = {kind: {"mean": 0.5, "low": 0.25, "high": 0.75, "n": 4} for kind in ("loss", "replies")}


def test_all_experts_but_the_most_used_are_silent() -> None:
    often = torch.tensor([[5.0, 1.0, 3.0], [0.0, 9.0, 2.0]])
    assert all_but(often, 2).tolist() == [[False, True, False], [True, False, False]]
    assert all_but(often, 1).tolist() == [[False, True, True], [True, False, True]]


def test_tables_have_a_row_for_each_form() -> None:
    whole = {"shared": 4, "per_token": 12, "neurons": 1.0, "router": _RISE}
    half = {**whole, "per_token": 4, "neurons": 0.5, "fixed": _RISE}
    dropped: dict[str, Any] = {"experts": [[11, 6]], "dropped": _RISE}
    dropped["others"] = {**_RISE, "draws": [0.1, 0.2, 4]}
    results = {
        "kept": [whole, half],
        "super": dropped,
        "pre_gate": {"expected": 0.8, "frequent": 0.7, "random": 0.5},
    }
    rows = list(kept(results))[2:]
    assert rows[0].endswith("| +50.0% [+25.0%, +75.0%] |  |  |") and "4 others | 50% |" in rows[1]
    assert rows[1].count("+50.0%") == 4
    assert "6 of layer 11" in list(supers(results))[2]
    assert "4 draws of +10.00% to +20.00%" in list(supers(results))[3]
    assert "no expert" in list(supers({**results, "super": {}}))[2]
    assert [row.split("|")[2].strip() for row in pre_gate(results)][2:] == [
        "80.0%",
        "70.0%",
        "50.0%",
    ]
