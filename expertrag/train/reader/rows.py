"""Examples as rows of tokens: several in a row, all of one domain, without padding.

Questions about the same passages are a sheet: the beginning that their prompts share is computed
once, and each question's own end follows it as a branch.

T tokens of a row, A of them replies
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expertrag.llm.load.chat import ChatTokenizer
from expertrag.train.reader.examples import Example
from expertrag_retriever.experts.settings import GENERAL


@dataclass(frozen=True, slots=True)
class Branch:
    """A question's own end of the prompt, and its reply."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reply) - 1  # nothing follows the last token


@dataclass(frozen=True, slots=True)
class Sheet:
    """Questions whose prompts begin with the same tokens, ``shared``."""

    domain: str
    shared: tuple[int, ...]
    branches: tuple[Branch, ...]

    def __len__(self) -> int:
        return len(self.shared) + sum(map(len, self.branches))


@dataclass(frozen=True, slots=True)
class Borders:
    """A sheet in its row: ``shared`` tokens from ``start``, then branches to ``ends``."""

    start: int
    shared: int
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Sheets that are computed together, with the updates of ``domain``."""

    domain: str
    sheets: tuple[Sheet, ...]

    @property
    def branches(self) -> list[Branch]:
        """The questions in their order."""
        return [branch for sheet in self.sheets for branch in sheet.branches]

    @property
    def tokens(self) -> list[int]:
        """Input, (T,)."""
        found: list[int] = []
        for sheet in self.sheets:
            found += sheet.shared
            for branch in sheet.branches:
                found += (*branch.prompt, *branch.reply[:-1])
        return found

    @property
    def positions(self) -> list[int]:
        """Place of each token in its own prompt and reply, (T,)."""
        found: list[int] = []
        for sheet in self.sheets:
            shared = len(sheet.shared)
            found += range(shared)
            for branch in sheet.branches:
                found += range(shared, shared + len(branch))
        return found

    @property
    def borders(self) -> list[Borders]:
        """Where each sheet lies."""
        found, start = [], 0
        for sheet in self.sheets:
            ends, end = [], start + len(sheet.shared)
            for branch in sheet.branches:
                end += len(branch)
                ends.append(end)
            found.append(Borders(start, len(sheet.shared), tuple(ends)))
            start = end
        return found

    @property
    def answering(self) -> list[int]:
        """Places in the row whose next token is one of a reply, (A,)."""
        ends = [end for borders in self.borders for end in borders.ends]
        return [
            place
            for branch, end in zip(self.branches, ends, strict=True)
            for place in range(end - len(branch.reply), end)
        ]

    @property
    def targets(self) -> list[int]:
        """Tokens of the replies, (A,)."""
        return [token for branch in self.branches for token in branch.reply]


def encode(examples: Iterable[Example], chat: ChatTokenizer, end: int) -> list[Sheet]:
    """Turn examples into tokens, prompts exactly as they are served; replies end with ``end``."""
    groups: dict[tuple[str, bool, tuple[str, ...]], list[Example]] = {}
    for item in examples:
        texts = tuple(passage.text for passage in item.passages)
        groups.setdefault((item.domain, item.strict, texts), []).append(item)
    return [
        sheet(
            domain,
            [
                (chat.encode(item.messages), (*chat.encode_text(item.reply.text), end))
                for item in some
            ],
        )
        for (domain, _, _), some in groups.items()
    ]


def sheet(domain: str, texts: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Sheet:
    """Put prompts with their replies together, what all prompts begin with once."""
    # a branch keeps the last token of its prompt: what predicts the first of the reply
    columns = zip(*(asked[:-1] for asked, _ in texts), strict=False)  # as long as the shortest
    shared = [column[0] for column in itertools.takewhile(lambda c: len({*c}) == 1, columns)]
    branches = tuple(Branch(tuple(asked[len(shared) :]), tuple(reply)) for asked, reply in texts)
    return Sheet(domain, tuple(shared), branches)


def pack(sheets: Sequence[Sheet], most_tokens: int) -> list[Row]:
    """Fill rows one after the other with sheets of one domain; a longer sheet has its own."""
    of: dict[str, list[Sheet]] = {}
    for item in sheets:
        of.setdefault(item.domain, []).append(item)
    return [
        Row(domain, tuple(some)) for domain, own in of.items() for some in _filled(own, most_tokens)
    ]


def _filled(sheets: Sequence[Sheet], most_tokens: int) -> list[list[Sheet]]:
    rows: list[list[Sheet]] = []
    left = 0
    for item in sheets:
        if not rows or len(item) > left:
            rows.append([])
            left = most_tokens
        rows[-1].append(item)
        left -= len(item)
    return rows


def plan(
    sheets: Sequence[Sheet],
    *,
    row_tokens: int,
    rows: int,
    general: float,
    seed: int,
) -> list[list[Row]]:
    """Lay out the rows of every step of a training.

    A share ``general`` of the rows runs without its domain's updates: what all domains share must
    serve questions of none of them, too.
    """
    rng = random.Random(seed)
    packed = pack(rng.sample(sheets, len(sheets)), row_tokens)
    rng.shuffle(packed)
    steps = [packed[start : start + rows] for start in range(0, len(packed), rows)]
    return [
        [Row(GENERAL, row.sheets) if rng.random() < general else row for row in step]
        for step in steps
    ]
