"""Continuous batching: the rows of many texts in each step of one decoder.

A thread runs the steps. Each takes the texts that are being written first, with guesses of what
follows (lookup.py), and fills up with parts of prompts in the order of their arrival. Texts that
do not fit into the cache wait; where one that is being written needs a page and none can be given
away, the one that came last gives its own back and is read again later, which changes no token, as
a row's result is the same to the bit in any batch.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from expertrag.api.errors import ExpertRAGError, InvalidArgument, Overloaded, ServerError
from expertrag.llm.engine.pages import Pages, root_of
from expertrag.llm.engine.texts import Drawn, Looked, Text
from expertrag.llm.logprobs import Ranked
from expertrag.llm.sampling import certainty
from expertrag_kernels.steps import PAGE_TOKENS, Steps
from expertrag_kernels.steps import Text as Rows

_GUESSED_ROWS = 16  # of a step, above which guesses cost as much as they save
_MOST_GUESSED = 6  # tokens of a text
_POLL_S = 0.05  # how late a deadline may be noticed


@dataclass(slots=True)
class Counters:
    """What an engine has done since it began."""

    steps: int = 0
    rows: int = 0
    read_tokens: int = 0
    """Of prompts, and again of texts that had given their pages back."""
    reused_tokens: int = 0
    """Of prompts that were found in the cache, and not read."""
    guessed_tokens: int = 0
    right_tokens: int = 0
    preempted: int = 0


@dataclass(slots=True)
class _Part:
    """The rows of one text in a step: some of its tokens, and guesses after them."""

    text: Text
    start: int
    stop: int
    guesses: list[int]

    @property
    def rows(self) -> int:
        return self.stop - self.start + len(self.guesses)

    @property
    def last(self) -> bool:
        """Whether the text ends here, so that the next token can be drawn."""
        return self.stop == len(self.text.tokens)


class Engine:
    """Runs texts on one decoder. Thread-safe; its thread ends with :meth:`stop`."""

    def __init__(
        self,
        decoder: Steps[Any, Any],
        *,
        threads: int | None = None,
        guesses: bool = True,
        reuse: bool = True,
        kept_bytes: int | None = None,
    ) -> None:
        """Begin.

        :param kept_bytes: of keys and values that stay when no text needs them; None for all.
        """
        self.counters = Counters()
        self._decoder = decoder
        self._threads = threads
        self._guesses = guesses
        self._reuse = reuse
        kept = decoder.pages if kept_bytes is None else decoder.shape.most_pages(kept_bytes)
        self._pages = Pages(decoder.pages, kept, decoder.give_back)
        self._texts: list[Text] = []  # in the order of their arrival
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def most_tokens(self) -> int:
        """Length of the longest text that the cache holds."""
        return self._decoder.pages * PAGE_TOKENS

    def submit(self, text: Text) -> None:
        """Take a text; its results come into its queue.

        :raises InvalidArgument: it does not fit into the cache, even alone.
        """
        longest = len(text.tokens) + text.allowed
        if longest > self.most_tokens:
            raise InvalidArgument(
                f"{longest} tokens do not fit into the cache of {self.most_tokens}; shorten the "
                "prompt, lower max_tokens, or give the cache more memory",
                reason="CONTEXT_EXCEEDED",
            )
        with self._changed:
            self._texts.append(text)
            self._changed.notify()

    def allow(self, text: Text, tokens: int, *, sure: bool) -> None:
        """Let a text have so many drawn tokens in all."""
        with self._changed:
            text.allowed, text.sure = tokens, sure
            self._changed.notify()

    def ask(self, text: Text, tokens: Sequence[int], rows: int, *, watched: bool) -> None:
        """Append tokens to a text, and ask for the logits of its last rows."""
        with self._changed:
            text.tokens.extend(tokens)
            text.asked, text.watched = rows, rows if watched else 0
            self._changed.notify()

    def close(self, text: Text) -> None:
        """End a text; its pages are free before the next step. Safe to call twice."""
        with self._changed:
            text.closed = True
            self._changed.notify()

    def stop(self) -> None:
        """End the thread, after the step that runs; texts that are open get an error."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:  # which may drop the last user
            self._thread.join()  # the interpreter must not end while it computes

    @staticmethod
    def result(text: Text, should_stop: Callable[[], None]) -> Drawn | Looked:
        """Wait for the next result of a text, asking ``should_stop`` meanwhile.

        :raises ServerError: the step failed.
        """
        while True:
            should_stop()
            try:
                found = text.results.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if isinstance(found, Exception):
                raise found
            return found

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (parts := self._compose()):
                    if self._stopped:
                        return
                    self._changed.wait()
                if self._stopped:
                    for text in self._texts:
                        text.results.put(ServerError("the model is being unloaded"))
                    return
            try:
                logits, kept = self._step(parts)
            except Exception as error:
                self._fail([part.text for part in parts], error)
                continue
            self._distribute(parts, logits, kept)

    def _compose(self) -> list[_Part]:
        """Choose the rows of the next step."""
        for text in [text for text in self._texts if text.closed]:
            self._texts.remove(text)
            self._give_back(text)
            self._pages.trim()
        running = [text for text in self._texts if text.runs and len(text.tokens) > text.computed]
        writing = [text for text in running if len(text.tokens) - text.computed == 1]
        reading = [text for text in running if len(text.tokens) - text.computed > 1]
        guessed = self._most_guessed(len(writing))
        parts: list[_Part] = []
        left = self._decoder.step_rows
        for text in (*writing, *reading):
            if left == 0:
                break
            part = self._part(text, left, guessed, [part.text for part in parts])
            if part:
                parts.append(part)
                left -= part.rows
        return parts

    def _most_guessed(self, writing: int) -> int:
        if not self._guesses or not writing:
            return 0
        return min(_MOST_GUESSED, max(0, _GUESSED_ROWS // writing - 1))

    def _part(self, text: Text, most: int, guessed: int, scheduled: list[Text]) -> _Part | None:
        """Take some rows of a text and the pages for them; None where there are none now."""
        if not text.pages:
            self._begin(text)
        start, end = text.computed, len(text.tokens)
        stop = min(end, start + most)
        tail = max(text.asked, text.watched, 1)
        if stop < end and end - stop < tail:  # what is looked at together stays together
            stop = end - tail
        if stop <= start:
            return None
        guesses: list[int] = []
        if stop == end and end - start == 1 and not text.asked:
            room = min(guessed, most - 1, text.allowed - text.drawn - 1)
            guesses = self._guess(text, room) if room > 0 else []
        while (stop + len(guesses) - 1) // PAGE_TOKENS >= len(text.pages):
            page = self._page_for(text, scheduled)
            if page is None:
                return None
            text.pages.append(page)
        return _Part(text, start, stop, guesses)

    @staticmethod
    def _guess(text: Text, room: int) -> list[int]:
        """Take what a constraint forces, else what followed the same words before."""
        assert text.sampler is not None, "texts without one are asked"
        return text.sampler.forced()[:room] or text.lookup.guess(text.tokens, room)

    def _begin(self, text: Text) -> None:
        """Find the beginning of a text in the cache."""
        if not self._reuse:
            return
        most = len(text.tokens) - max(text.asked, text.watched, 1)
        found = self._pages.find(text.tokens, most, root_of(text.expert))
        text.pages, text.serial = found.pages, found.serial
        text.registered = len(found.pages)
        text.computed = len(found.pages) * PAGE_TOKENS
        if found.copied is not None:
            page = self._pages.take()
            if page is not None:
                self._decoder.copy_page(found.copied, page)
                text.pages.append(page)
                text.computed += found.copied_tokens
            self._pages.release(found.copied)
        self.counters.reused_tokens += text.computed
        if not text.drawn:  # one that was paused finds its own words
            text.reused = text.computed

    def _page_for(self, text: Text, scheduled: list[Text]) -> int | None:
        """Take a page, if need be from the text that came last and is not in this step."""
        while (page := self._pages.take()) is None:
            place = self._texts.index(text)
            later = [
                other
                for other in self._texts[place + 1 :]
                if other.pages and other not in scheduled
            ]
            paused = [other for other in self._texts if other.pages and not other.runs]
            victim = next(iter(paused or reversed(later)), None)
            if victim is None:
                return None
            self.counters.preempted += 1
            self._give_back(victim)
        return page

    def _give_back(self, text: Text) -> None:
        for page in reversed(text.pages):  # the first, which others may have too, are kept longest
            self._pages.release(page)
        text.pages = []
        text.computed = text.registered = 0
        text.serial = root_of(text.expert)

    def _step(self, parts: Sequence[_Part]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        tokens: list[int] = []
        positions: list[int] = []
        picked: list[int] = []
        watched: list[int] = []
        rows: list[Rows] = []
        for part in parts:
            first = len(tokens)
            if part.stop - part.start > 1 or not part.text.drawn:
                self.counters.read_tokens += part.stop - part.start
            tokens += part.text.tokens[part.start : part.stop] + part.guesses
            positions += range(part.start, part.start + part.rows)
            end = len(tokens)
            rows.append(Rows(first, end, torch.tensor(part.text.pages), part.text.expert))
            if part.last:
                picked += range(end - max(part.text.asked, 1 + len(part.guesses)), end)
                watched += range(end - part.text.watched, end)
        self.counters.steps += 1
        self.counters.rows += len(tokens)
        return self._decoder.run(
            torch.tensor(tokens),
            torch.tensor(positions),
            rows,
            torch.tensor(picked, dtype=torch.long),
            torch.tensor(watched, dtype=torch.long),
            threads=self._threads,
        )

    def _distribute(
        self, parts: Sequence[_Part], logits: torch.Tensor, kept: list[torch.Tensor]
    ) -> None:
        row = seen = 0
        for part in parts:
            text = part.text
            with self._changed:
                text.computed = part.stop
            if not part.last:
                self._register(text)
                continue
            looks = max(text.asked, 1 + len(part.guesses))
            own = logits[row : row + looks]
            own_kept = [values[seen : seen + text.watched] for values in kept]
            row, seen = row + looks, seen + text.watched
            if text.asked or text.watched:
                text.results.put(Looked(own, own_kept))
            if text.asked:
                with self._changed:
                    text.asked = text.watched = 0
            else:
                text.watched = 0
                try:
                    self._draw(part, own)
                except Exception as error:  # a constraint that proves too complex
                    self._fail([text], error)
                    continue
            self._register(text)

    @torch.inference_mode()
    def _draw(self, part: _Part, logits: torch.Tensor) -> None:
        """Draw the next token, and more as long as guesses are right."""
        text = part.text
        assert text.sampler is not None, "texts without one are asked"
        right = 0
        for place, row in enumerate(logits):
            sure = certainty(row) if text.sure else None
            token = text.sampler.draw(row)
            ranked = None if text.logprobs is None else Ranked.of(row, token, text.logprobs)
            ended = token in text.end_tokens
            last = ended or text.sampler.complete
            with self._changed:
                text.drawn += 1
                if last:
                    text.allowed = 0
                if not ended:
                    text.tokens.append(token)
            text.results.put(Drawn(token, sure, ranked, last))
            if last or place == len(part.guesses) or token != part.guesses[place]:
                break
            right += 1
        with self._changed:
            text.computed += right
        if part.guesses:
            text.lookup.judge(len(part.guesses), right)
            self.counters.guessed_tokens += len(part.guesses)
            self.counters.right_tokens += right

    def _register(self, text: Text) -> None:
        """Keep the pages that are full for their tokens."""
        while self._reuse and (text.registered + 1) * PAGE_TOKENS <= text.computed:
            start = text.registered * PAGE_TOKENS
            tokens = text.tokens[start : start + PAGE_TOKENS]
            text.serial = self._pages.register(text.serial, tokens, text.pages[text.registered])
            text.registered += 1

    def _fail(self, texts: Sequence[Text], error: Exception) -> None:
        told: Exception = ServerError(f"the model failed: {error}")
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            told = Overloaded("out of memory; ask again later or shorten the prompt")
        elif isinstance(error, ExpertRAGError):
            told = error
        with self._changed:
            for text in texts:
                text.closed = True
                text.results.put(told)
