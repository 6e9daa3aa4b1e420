"""Whether a gate belongs to a model, by what its signals need and by whose answers it has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from memorised_mixture import planted_gate

from expertrag_retriever.gate.binding import gate_problem
from expertrag_retriever.gate.bundle import GateBundle, Needs

MINE, OTHER = "0123456789abcdef", "fedcba9876543210"
RECORD = "expertrag eval record DATASET --index STORE --generator mine --out ROWS"
CALIBRATE = "expertrag gate calibrate ROWS --gate GATE --out NEW"
FIT = "expertrag train gate ROWS --index STORE --generator mine --out NEW"


def _gate(signals: str | None, answered_by: Sequence[str] = ()) -> GateBundle:
    """A gate whose signals come from a model, on rows that some models have answered."""
    needs = Needs(generator="theirs" if signals else None, generator_fingerprint=signals)
    return replace(planted_gate(needs), card={"answered_by": list(answered_by)})


@pytest.mark.parametrize(("signals", "answered_by"), [(MINE, [MINE]), (MINE, []), (None, [MINE])])
def test_a_gate_of_this_model_has_no_problem(signals: str | None, answered_by: list[str]) -> None:
    assert gate_problem(_gate(signals, answered_by), "mine", MINE) == ""


@pytest.mark.parametrize(
    ("signals", "answered_by", "why", "cure"),
    [
        (None, [], "does not say whose answers", CALIBRATE),
        (None, [OTHER], "answers of other language models (fedcba98; this is 01234567)", CALIBRATE),
        (None, [MINE, OTHER], "answers of other language models (01234567, fedcba98;", CALIBRATE),
        (MINE, [OTHER], "answers of other language models (fedcba98;", CALIBRATE),
        (OTHER, [], "another language model (theirs, fedcba98; this is 01234567)", FIT),
        (OTHER, [MINE], "another language model (theirs, fedcba98;", FIT),
    ],
)
def test_other_gates_are_named_with_the_cure(
    signals: str | None, answered_by: list[str], why: str, cure: str
) -> None:
    problem = gate_problem(_gate(signals, answered_by), "mine", MINE)
    assert why in problem and RECORD in problem and problem.endswith(f"'{cure}'")
