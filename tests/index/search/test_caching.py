"""A cache of a method's results, which keeps neither the object nor old results."""

from __future__ import annotations

import gc
import weakref

from expertrag_index.search.caching import cache_method


class Speller:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.spell = cache_method(self._spell, 2)

    def _spell(self, word: str) -> str:
        self.asked.append(word)
        return word.upper()


def test_results_are_kept_and_the_oldest_is_dropped() -> None:
    speller = Speller()
    assert [speller.spell(word) for word in ("a", "a", "b", "c", "a")] == ["A", "A", "B", "C", "A"]
    assert speller.asked == ["a", "b", "c", "a"]


def test_objects_do_not_share_results() -> None:
    one, other = Speller(), Speller()
    one.spell("a")
    assert other.asked == []


def test_the_object_is_freed_without_the_collector() -> None:
    speller = Speller()
    speller.spell("a")
    alive = weakref.ref(speller)
    gc.disable()
    try:
        del speller
        assert alive() is None
    finally:
        gc.enable()
