"""Files, classes and parameter lists of the service keep to their length.

An exception that is not needed any more fails, so the list only shrinks.
"""

from __future__ import annotations

import pytest
from house_code import FAR_TOO_MANY, SERVICE, Code

WIDE_FUNCTIONS = {
    "kernels/expertrag_kernels/gpu/attention_kernels.py: attend_parts",
    "kernels/expertrag_kernels/gpu/kernels.py: down_pairs",
    "kernels/expertrag_kernels/gpu/kernels.py: gate_up_pairs",
}


@pytest.fixture(scope="module")
def service() -> Code:
    return Code(SERVICE)


def test_no_file_has_over_400_lines(service: Code) -> None:
    assert not {*service.long_files()}


def test_no_class_has_over_300_lines(service: Code) -> None:
    assert not {*service.long_classes()}


def test_no_function_has_over_10_parameters(service: Code) -> None:
    assert {*service.wide_functions(FAR_TOO_MANY)} == WIDE_FUNCTIONS


def test_no_two_classes_share_a_name(service: Code) -> None:
    assert not {*service.repeated_classes()}
