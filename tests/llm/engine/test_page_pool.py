"""The bookkeeping of pages: none is lost, none is allocated twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from expertrag.llm.engine.page_pool import PagePool
from expertrag.llm.sequence_policy import ROOT

_PAGE = 64


def _fill(pages: PagePool, tokens: list[int]) -> list[int]:
    """Allocate pages for a sequence, and register them by their tokens."""
    taken, serial = [], ROOT
    for start in range(0, len(tokens) - _PAGE + 1, _PAGE):
        page = pages.take()
        assert page is not None
        serial = pages.register(serial, tokens[start : start + _PAGE], page)
        taken.append(page)
    return taken


def _differences(pages: PagePool, held: list[list[int]]) -> list[str]:
    """Check that every page is free, cached, or held by these sequences."""
    return list(pages.differences(Counter(page for own in held for page in own)))


def test_equal_prefixes_are_found() -> None:
    pages = PagePool(8)
    tokens = list(range(3 * _PAGE))
    taken = _fill(pages, tokens)
    found = pages.find([*tokens, 7], most=3 * _PAGE)
    assert found.pages == taken
    assert pages.find([1, *tokens], most=3 * _PAGE).pages == []
    assert pages.find(tokens[_PAGE:], most=2 * _PAGE).pages == []  # after another prefix
    assert pages.find(tokens, most=3 * _PAGE - 1).pages == taken[:2]  # the last must be computed


def test_a_page_with_a_common_prefix_is_copied() -> None:
    pages = PagePool(8)
    tokens = list(range(2 * _PAGE))
    taken = _fill(pages, tokens)
    found = pages.find([*tokens[:100], *([5] * 60)], most=150)
    assert (found.pages, found.copied, found.copied_tokens) == (taken[:1], taken[1], 36)
    assert pages.find([*tokens[:70], *([5] * 60)], most=120).copied is None  # not worth it


def test_the_least_recently_used_unheld_page_is_evicted() -> None:
    pages = PagePool(2)
    first, second = ([number] * _PAGE for number in (1, 2))
    for tokens in (first, second):
        (page,) = _fill(pages, tokens)
        pages.release(page)
    assert pages.find(first, most=_PAGE).pages == [0]  # used again, so the other one goes
    pages.release(0)
    assert pages.take() == 1
    assert pages.find(second, most=_PAGE).pages == []
    assert pages.take() == 0 and pages.take() is None


def test_a_reset_forgets_what_no_sequence_holds() -> None:
    pages = PagePool(4)
    held, left = ([number] * _PAGE for number in (1, 2))
    _fill(pages, held)
    (page,) = _fill(pages, left)
    pages.release(page)
    pages.reset()
    assert pages.find(held, most=_PAGE).pages
    assert not pages.find(left, most=_PAGE).pages
    assert pages.available == 3


def test_two_sequences_with_the_same_page() -> None:
    pages = PagePool(4)
    tokens = [3] * _PAGE
    (first,), (second,) = _fill(pages, tokens), _fill(pages, tokens)
    pages.release(second)
    assert pages.available == 3  # it was not kept, so it is free
    pages.release(first)
    assert pages.find(tokens, most=_PAGE).pages == [first]


def test_no_page_is_lost() -> None:
    draw = random.Random(0)
    pages = PagePool(20)
    held: list[list[int]] = []
    for _ in range(2000):
        if held and (draw.random() < 0.5 or pages.available < 4):
            for page in held.pop(draw.randrange(len(held))):
                pages.release(page)
            continue
        tokens = [draw.randrange(2) for _ in range(2)] * (_PAGE * 3 // 2)
        found = pages.find(tokens, most=len(tokens) - 1)
        if found.copied is not None:
            pages.release(found.copied)
        own, serial = found.pages, found.serial
        while len(own) < 3:
            taken = pages.take()
            assert taken is not None
            start = len(own) * _PAGE
            serial = pages.register(serial, tokens[start : start + _PAGE], taken)
            own.append(taken)
        held.append(own)
        assert _differences(pages, held) == []
    for own in held:
        for page in own:
            pages.release(page)
    assert pages.available == 20
    assert sorted(left for left in iter(pages.take, None)) == list(range(20))


def test_kept_pages_have_a_limit() -> None:
    given: list[int] = []
    pages = PagePool(8, kept=3, free_memory=given.extend)
    taken = _fill(pages, list(range(5 * _PAGE)))
    assert pages.with_memory == 5 and not given  # held pages stay whatever the limit
    for page in reversed(taken):
        pages.release(page)
    pages.trim()
    assert given == [4, 3] and pages.with_memory == 3
    assert pages.available == 8
    assert pages.find(list(range(5 * _PAGE)), most=5 * _PAGE).pages == [0, 1, 2]


def test_unheld_pages_are_evicted_before_new_memory_is_used() -> None:
    pages = PagePool(8, kept=2)
    for number in (1, 2, 3):
        (page,) = _fill(pages, [number] * _PAGE)
        pages.release(page)
        assert pages.with_memory == min(number, 2)
    assert pages.find([1] * _PAGE, most=_PAGE).pages == []
    assert pages.find([3] * _PAGE, most=_PAGE).pages == [0]


def test_no_page_is_lost_or_allocated_twice_within_a_limit() -> None:
    rng = random.Random(5)
    given: list[int] = []
    pages = PagePool(40, kept=10, free_memory=given.extend)
    texts: list[list[int]] = []
    for _ in range(2000):
        given.clear()
        if texts and (rng.random() < 0.5 or len(texts) > 5):
            for page in reversed(texts.pop(rng.randrange(len(texts)))):
                pages.release(page)
            pages.trim()
        else:
            texts.append(
                _fill(pages, [rng.randrange(3) for _ in range(rng.randrange(1, 7) * _PAGE)])
            )
        assert _differences(pages, texts) == []
        held = [page for text in texts for page in text]
        assert len(set(held)) == len(held) and not set(held) & set(given)
        assert pages.available == 40 - len(held)
        assert pages.with_memory <= max(10, len(held)) or not given


_PLANTS: dict[str, tuple[Callable[[PagePool], object], str]] = {
    "leaked": (PagePool.take, "page 2 has 1 holders, and 0 sequences hold it"),
    "freed twice": (lambda pages: pages._free.append(7), "not those that no sequence holds"),
    "freed while held": (lambda pages: pages._ready.append(0), "not those that no sequence holds"),
    "cached and free": (lambda pages: pages._ready.append(1), "not those that no sequence holds"),
    "free nowhere": (lambda pages: pages._free.remove(7), "not those that no sequence holds"),
    "cached by nothing": (lambda pages: pages._keys.pop(1), "not those that can be found"),
    "found by nobody": (lambda pages: pages._by_key.popitem(), "not found by their tokens"),
    "follows nothing": (lambda pages: pages._followers.clear(), "not found by what they follow"),
}


@pytest.mark.parametrize("plant", _PLANTS)
def test_a_page_without_exactly_one_owner_is_reported(plant: str) -> None:
    pages = PagePool(8)
    (held,), (cached,) = _fill(pages, [1] * _PAGE), _fill(pages, [2] * _PAGE)
    pages.release(cached)
    assert (held, cached) == (0, 1) and _differences(pages, [[held]]) == []
    spoil, text = _PLANTS[plant]
    spoil(pages)
    assert any(text in difference for difference in _differences(pages, [[held]]))
