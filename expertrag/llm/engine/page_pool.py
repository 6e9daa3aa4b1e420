"""The pages of the KV cache: free, held by sequences, or kept for prefix caching.

A full page is found by its tokens and the page before it. The first page of a sequence is also
found by the root of its policy (sequence_policy.py), and by the salt of the caller. The root
differs by all that changes the keys. Because of the salt, the time of an answer does not tell one
tenant what another has asked. Equal prefixes are therefore computed once, as long as their pages
are not needed. Examples are a system prompt, passages in the same order, and the turns of a chat.
When no page is free, the least recently used one that no sequence holds is reused.

Every page has one owner at any time; ``differences`` checks that each is in exactly one place:

    owner            where it is counted         how it leaves
    nobody           ``_free``, no memory yet    taken by a sequence
                     ``_ready``, with memory     taken, or trimmed to ``_free``
    the cache        ``_unheld`` and ``_keys``   found by a sequence, or evicted
    its holders      ``_holders`` above 0; also  released by the last one: to the cache
                     in ``_keys`` if findable    if it is findable, else to ``_ready``

A page takes memory when it is first used. Up to ``kept`` pages keep it; what many concurrent
sequences take beyond that is returned to the operating system when they end.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from expertrag.llm.sequence_policy import ROOT, Root
from expertrag_kernels.steps import PAGE_TOKENS

Before = Root
"""What a page follows: the serial number of another page, or the root of a sequence."""

_WORTH_COPYING = 8  # tokens of a page; fewer are computed as fast

FreeMemory = Callable[[Sequence[int]], None]
_Key = tuple[Before, tuple[int, ...]]  # what the page follows, and its tokens


def _keep_all(pages: Sequence[int]) -> None:
    del pages


@dataclass(frozen=True, slots=True)
class CachedPrefix:
    """The cached prefix of a sequence: whole pages, and part of another one; all of them held."""

    pages: list[int]
    serial: Before
    copied: int | None = None
    copied_tokens: int = 0


class PagePool:
    """Allocates page numbers. Not thread-safe."""

    def __init__(
        self, count: int, kept: int | None = None, free_memory: FreeMemory = _keep_all
    ) -> None:
        """Start with free pages.

        :param kept: pages that keep their memory when no sequence holds them; None for all.
        :param free_memory: returns the memory of pages to the operating system.
        """
        self.count = count
        self._kept = count if kept is None else min(kept, count)
        self._free_memory = free_memory
        self._free = list(range(count - 1, -1, -1))  # without memory, the first one last
        self._ready: list[int] = []  # free, with memory
        self._holders = [0] * count
        self._by_key: dict[_Key, tuple[int, int]] = {}  # page and its serial number
        self._keys: dict[int, _Key] = {}
        self._followers: dict[Before, set[_Key]] = {}  # keys by what they follow
        self._unheld: OrderedDict[int, None] = OrderedDict()  # cached, least recently used first
        self._serial = 0

    @property
    def available(self) -> int:
        """How many pages :meth:`take` can return."""
        return len(self._ready) + len(self._free) + len(self._unheld)

    @property
    def with_memory(self) -> int:
        """How many pages have memory: held, cached, or free again."""
        return self.count - len(self._free)

    def take(self) -> int | None:
        """Allocate a page to a sequence; None if all are held."""
        if self._ready:
            page = self._ready.pop()
        elif self._free and (self.with_memory < self._kept or not self._unheld):
            page = self._free.pop()
        elif self._unheld:
            page, _ = self._unheld.popitem(last=False)
            self._evict(page)
        else:
            return None
        self._holders[page] = 1
        return page

    def release(self, page: int) -> None:
        """Release a sequence's hold on a page.

        :raises RuntimeError: no sequence holds it.
        """
        if not 0 <= page < self.count or self._holders[page] < 1:
            raise RuntimeError("a page is released that no sequence holds")
        self._holders[page] -= 1
        if self._holders[page]:
            return
        if page in self._keys:
            self._unheld[page] = None
        else:
            self._ready.append(page)

    def trim(self) -> None:
        """Free the memory of unheld pages beyond the number that may keep it."""
        freed: list[int] = []
        while self.with_memory - len(freed) > self._kept and (self._ready or self._unheld):
            if self._ready:
                page = self._ready.pop()
            else:
                page, _ = self._unheld.popitem(last=False)
                self._evict(page)
            freed.append(page)
        if freed:
            self._free += sorted(freed, reverse=True)
            self._free_memory(freed)

    def reset(self) -> None:
        """Forget the cached pages that no sequence holds."""
        while self._unheld:
            page, _ = self._unheld.popitem(last=False)
            self._evict(page)
            self._ready.append(page)

    def register(self, before: Before, tokens: Sequence[int], page: int) -> int:
        """Make a full page findable by its tokens; returns its serial number.

        :param before: serial number of the page before it, or the root of the sequence.
        """
        key = before, tuple(tokens)
        if key in self._by_key:  # two sequences have computed the same
            return self._by_key[key][1]
        self._serial += 1
        self._by_key[key] = page, self._serial
        self._keys[page] = key
        self._followers.setdefault(before, set()).add(key)
        return self._serial

    def find(self, tokens: Sequence[int], most: int, root: Before = ROOT) -> CachedPrefix:
        """Find the cached prefix of a sequence, at most ``most`` tokens, and hold its pages."""
        pages: list[int] = []
        serial: Before = root
        for start in range(0, most - PAGE_TOKENS + 1, PAGE_TOKENS):
            entry = self._by_key.get((serial, tuple(tokens[start : start + PAGE_TOKENS])))
            if entry is None:
                break
            page, serial = entry
            self.hold(page)
            pages.append(page)
        copied, shared = self._closest(serial, tokens[len(pages) * PAGE_TOKENS : most])
        if copied is not None:
            self.hold(copied)
        return CachedPrefix(pages, serial, copied, shared)

    def hold(self, page: int) -> None:
        """Let one more sequence hold a page that is held or cached."""
        self._holders[page] += 1
        self._unheld.pop(page, None)

    def _closest(self, serial: Before, rest: Sequence[int]) -> tuple[int | None, int]:
        """Return the page after a serial number that shares the longest prefix with ``rest``."""
        best, shared = None, _WORTH_COPYING - 1
        for key in self._followers.get(serial, ()):
            same = 0
            for one, other in zip(key[1], rest, strict=False):
                if one != other:
                    break
                same += 1
            if same > shared:
                best, shared = self._by_key[key][0], same
        return best, shared if best is not None else 0

    def _evict(self, page: int) -> None:
        key = self._keys.pop(page)
        del self._by_key[key]
        followers = self._followers[key[0]]
        followers.discard(key)
        if not followers:
            del self._followers[key[0]]

    def repair(self, held: Counter[int]) -> None:
        """Let sequences hold these pages and no others, and forget the cached pages.

        :param held: how many sequences hold each page.
        """
        self._holders = [held[page] for page in range(self.count)]
        self._by_key.clear()
        self._keys.clear()
        self._followers.clear()
        self._unheld.clear()
        self._free = []
        self._ready = [page for page in reversed(range(self.count)) if not held[page]]

    def differences(self, held: Counter[int]) -> Iterator[str]:
        """Check the pool against the sequences; yields what is inconsistent, in words.

        :param held: how many sequences hold each page.
        """
        for page, holders in enumerate(self._holders):
            if holders != held[page]:
                yield f"page {page} has {holders} holders, and {held[page]} sequences hold it"
        unheld = [page for page, holders in enumerate(self._holders) if not holders]
        if sorted([*self._free, *self._ready, *self._unheld]) != unheld:
            yield "the free and cached pages are not those that no sequence holds"
        if self._unheld.keys() != self._keys.keys() & set(unheld):
            yield "the cached pages without a holder are not those that can be found"
        if {page: key for key, (page, _) in self._by_key.items()} != self._keys:
            yield "the cached pages are not found by their tokens"
        # the keys are the same objects in all tables, and 64 tokens cost more to hash than an id
        followers = {id(key): before for before, keys in self._followers.items() for key in keys}
        if followers != {id(key): key[0] for key in self._by_key}:
            yield "the cached pages are not found by what they follow"
