"""The pages of a cache: free, held by texts, or kept for texts that begin with the same tokens.

A full page is found by its tokens and the page before it, or for the first the expert of the text
(other experts leave other keys), so equal beginnings (a system prompt,
passages in the same order, the turns of a talk) are computed once, as long as nothing needs the
room. Pages that no text holds are given away, the longest unused first, when there is no free one.

Memory is taken by pages as they are used for the first time. Up to ``kept`` of them it stays; what
many texts at a time take beyond that goes back to the system when they end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from expertrag_kernels.steps import PAGE_TOKENS

ROOT = 0
"""Before the first page of a text."""
_WORTH_COPYING = 8  # tokens of a page; fewer are as soon computed

GiveBack = Callable[[Sequence[int]], None]
_Key = tuple[int, tuple[int, ...]]  # serial number of the page before, and the page's tokens


def _keep_all(pages: Sequence[int]) -> None:
    del pages


def root_of(expert: int) -> int:
    """Return what is before the first page of a text with an expert of its own, or without."""
    return min(ROOT, -1 - expert)


@dataclass(frozen=True, slots=True)
class Found:
    """The beginning of a text that is in the cache: whole pages, and part of another; all held."""

    pages: list[int]
    serial: int
    copied: int | None = None
    copied_tokens: int = 0


class Pages:
    """Hands out the numbers of pages. Not thread-safe."""

    def __init__(
        self, count: int, kept: int | None = None, give_back: GiveBack = _keep_all
    ) -> None:
        """Begin with free pages.

        :param kept: pages whose memory stays when no text holds them; None for all.
        :param give_back: gives the memory of pages to the system.
        """
        self.count = count
        self._kept = count if kept is None else min(kept, count)
        self._give_back = give_back
        self._free = list(range(count - 1, -1, -1))  # without memory, the first one last
        self._ready: list[int] = []  # free, with memory
        self._holders = [0] * count
        self._by_key: dict[_Key, tuple[int, int]] = {}  # page and its serial number
        self._keys: dict[int, _Key] = {}
        self._followers: dict[int, set[_Key]] = {}  # keys by the serial number before them
        self._unheld: OrderedDict[int, None] = OrderedDict()  # kept, longest unused first
        self._serial = ROOT

    @property
    def available(self) -> int:
        """How many pages :meth:`take` can give."""
        return len(self._ready) + len(self._free) + len(self._unheld)

    @property
    def with_memory(self) -> int:
        """How many pages have memory: held, kept, or free again."""
        return self.count - len(self._free)

    def take(self) -> int | None:
        """Give a page to a text; None if all are held."""
        if self._ready:
            page = self._ready.pop()
        elif self._free and (self.with_memory < self._kept or not self._unheld):
            page = self._free.pop()
        elif self._unheld:
            page, _ = self._unheld.popitem(last=False)
            self._forget(page)
        else:
            return None
        self._holders[page] = 1
        return page

    def release(self, page: int) -> None:
        """Take a page back from a text."""
        self._holders[page] -= 1
        if self._holders[page]:
            return
        if page in self._keys:
            self._unheld[page] = None
        else:
            self._ready.append(page)

    def trim(self) -> None:
        """Give back the memory of what no text holds, as far as it is more than may be kept."""
        given: list[int] = []
        while self.with_memory - len(given) > self._kept and (self._ready or self._unheld):
            if self._ready:
                page = self._ready.pop()
            else:
                page, _ = self._unheld.popitem(last=False)
                self._forget(page)
            given.append(page)
        if given:
            self._give_back(given)
            self._free += sorted(given, reverse=True)

    def register(self, before: int, tokens: Sequence[int], page: int) -> int:
        """Keep a full page for its tokens; returns its serial number.

        :param before: serial number of the page before it, ``ROOT`` for none.
        """
        key = before, tuple(tokens)
        if key in self._by_key:  # two texts have computed the same
            return self._by_key[key][1]
        self._serial += 1
        self._by_key[key] = page, self._serial
        self._keys[page] = key
        self._followers.setdefault(before, set()).add(key)
        return self._serial

    def find(self, tokens: Sequence[int], most: int, root: int = ROOT) -> Found:
        """Find the beginning of a text, at most so many tokens of it, and hold its pages."""
        pages: list[int] = []
        serial = root
        for start in range(0, most - PAGE_TOKENS + 1, PAGE_TOKENS):
            entry = self._by_key.get((serial, tuple(tokens[start : start + PAGE_TOKENS])))
            if entry is None:
                break
            page, serial = entry
            self._hold(page)
            pages.append(page)
        copied, shared = self._closest(serial, tokens[len(pages) * PAGE_TOKENS : most])
        if copied is not None:
            self._hold(copied)
        return Found(pages, serial, copied, shared)

    def _hold(self, page: int) -> None:
        self._holders[page] += 1
        self._unheld.pop(page, None)

    def _closest(self, serial: int, rest: Sequence[int]) -> tuple[int | None, int]:
        """Page that begins with the most of ``rest``, of those after a serial number."""
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

    def _forget(self, page: int) -> None:
        key = self._keys.pop(page)
        del self._by_key[key]
        followers = self._followers[key[0]]
        followers.discard(key)
        if not followers:
            del self._followers[key[0]]
