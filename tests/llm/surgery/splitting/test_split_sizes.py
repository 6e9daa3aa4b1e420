"""Numbers of experts that a network can be split into."""

from __future__ import annotations

import pytest

from expertrag.api.errors import InvalidArgument
from expertrag.llm.surgery.splitting.split_sizes import SplitSizes


def test_sizes_of_experts() -> None:
    sizes = SplitSizes(16, 4, 8)
    assert (sizes.routed, sizes.active, sizes.width(1536)) == (12, 0.75, 96)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((16, 0, 8), "at least 1 is shared"),
        ((4, 3, 1), "2 are chosen from"),
        ((16, 4, 13), "1 to 12 of 12"),
        ((16, 4, 0), "1 to 12 of 12"),
        ((100, 20, 65), "1 to 64 of 80"),  # of the kernels
    ],
)
def test_numbers_that_do_not_fit_are_refused(sizes: tuple[int, int, int], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        SplitSizes(*sizes)


def test_an_uneven_width_is_refused_with_those_that_fit() -> None:
    with pytest.raises(InvalidArgument, match="into 16 experts of the same size: use 8, 10, 20"):
        SplitSizes(16, 4, 8).width(1000)
    with pytest.raises(InvalidArgument, match="share fewer"):
        SplitSizes(5, 2, 2).width(47)
