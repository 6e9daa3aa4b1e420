"""Numbers of experts that a network can be split into."""

from __future__ import annotations

import pytest

from expertrag.api.errors import InvalidArgument
from expertrag_lab.surgery.splitting.split_sizes import SplitSizes


def test_sizes_of_experts() -> None:
    sizes = SplitSizes(16, 4, 8)
    assert (sizes.routed, sizes.active, sizes.width(1536)) == (12, 0.75, 96)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((16, 0, 8), "at least 1 is shared"),
        ((4, 3, 1), "2 others are chosen from"),
        ((16, 4, 13), "leaves 12 experts .* use 1 to 12$"),
        ((16, 4, 0), "--per-token 0 .* use 1 to 12$"),
        ((100, 20, 65), "leaves 80 experts .* use 1 to 64$"),  # of the kernels
    ],
)
def test_numbers_that_do_not_fit_are_refused(sizes: tuple[int, int, int], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        SplitSizes(*sizes)


def test_an_uneven_width_is_refused_with_those_that_fit() -> None:
    with pytest.raises(InvalidArgument, match="into 16 experts of the same size; use 8, 10, 20"):
        SplitSizes(16, 4, 8).width(1000)
    with pytest.raises(InvalidArgument, match="lower --shared"):
        SplitSizes(5, 2, 2).width(47)


def test_the_width_is_checked_before_the_other_numbers() -> None:
    assert SplitSizes.of(48, 8, 2, 3) == SplitSizes(8, 2, 3)
    with pytest.raises(InvalidArgument, match="48 neurons cannot be split into 7"):
        SplitSizes.of(48, 7, 4, 8)
    with pytest.raises(InvalidArgument, match="--per-token 8 is not possible"):
        SplitSizes.of(48, 8, 4, 8)
