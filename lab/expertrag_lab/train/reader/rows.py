"""Pack examples of one domain into rows of tokens (packed sequences), without padding.

Questions about the same passages form a group. The prefix that their prompts share is computed
once, and the rest of each prompt, with its reply, follows as a branch.

Legend: T tokens of a row, A reply tokens among them
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expertrag.llm.base import SHARED
from expertrag.llm.load.chat import ChatTokenizer
from expertrag_lab.train.reader.examples import ReaderExample


@dataclass(frozen=True, slots=True)
class PackedBranch:
    """The part of a prompt after the shared prefix, and the reply."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reply) - 1  # the last token is only a target


@dataclass(frozen=True, slots=True)
class PromptGroup:
    """Questions whose prompts have the same prefix, ``shared``."""

    domain: str
    shared: tuple[int, ...]
    branches: tuple[PackedBranch, ...]

    def __len__(self) -> int:
        return len(self.shared) + sum(map(len, self.branches))


@dataclass(frozen=True, slots=True)
class Borders:
    """Place of a group in its row: ``shared`` tokens from ``start``, then branches to ``ends``."""

    start: int
    shared: int
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PackedRow:
    """A packed sequence: groups that are computed together, with the adapters of ``domain``."""

    domain: str
    groups: tuple[PromptGroup, ...]

    @property
    def branches(self) -> list[PackedBranch]:
        """The branches of all groups, in order."""
        return [branch for group in self.groups for branch in group.branches]

    @property
    def tokens(self) -> list[int]:
        """Input tokens, (T,)."""
        result: list[int] = []
        for group in self.groups:
            result += group.shared
            for branch in group.branches:
                result += (*branch.prompt, *branch.reply[:-1])
        return result

    @property
    def positions(self) -> list[int]:
        """Position of each token in its own prompt and reply, (T,)."""
        result: list[int] = []
        for group in self.groups:
            shared = len(group.shared)
            result += range(shared)
            for branch in group.branches:
                result += range(shared, shared + len(branch))
        return result

    @property
    def borders(self) -> list[Borders]:
        """Position of each group."""
        result, start = [], 0
        for group in self.groups:
            ends, end = [], start + len(group.shared)
            for branch in group.branches:
                end += len(branch)
                ends.append(end)
            result.append(Borders(start, len(group.shared), tuple(ends)))
            start = end
        return result

    @property
    def answering(self) -> list[int]:
        """Positions in the row that predict a reply token, (A,)."""
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


def encode(examples: Iterable[ReaderExample], chat: ChatTokenizer, end: int) -> list[PromptGroup]:
    """Tokenize examples, with prompts exactly as served; replies end with the token ``end``."""
    groups: dict[tuple[str, bool, tuple[str, ...]], list[ReaderExample]] = {}
    for item in examples:
        texts = tuple(passage.text for passage in item.passages)
        groups.setdefault((item.domain, item.strict, texts), []).append(item)
    return [
        group(
            domain,
            [
                (chat.encode(item.messages), (*chat.encode_text(item.reply.text), end))
                for item in some
            ],
        )
        for (domain, _, _), some in groups.items()
    ]


def group(domain: str, texts: Sequence[tuple[Sequence[int], Sequence[int]]]) -> PromptGroup:
    """Combine prompts and their replies into a group, with the common prefix stored once."""
    # a branch keeps the last token of its prompt, which predicts the first reply token
    columns = zip(*(asked[:-1] for asked, _ in texts), strict=False)  # up to the shortest
    shared = [column[0] for column in itertools.takewhile(lambda c: len({*c}) == 1, columns)]
    branches = tuple(
        PackedBranch(tuple(asked[len(shared) :]), tuple(reply)) for asked, reply in texts
    )
    return PromptGroup(domain, tuple(shared), branches)


def pack(groups: Sequence[PromptGroup], most_tokens: int) -> list[PackedRow]:
    """Fill rows one by one with groups of one domain; a group that is too long gets its own row."""
    of: dict[str, list[PromptGroup]] = {}
    for item in groups:
        of.setdefault(item.domain, []).append(item)
    return [
        PackedRow(domain, tuple(some))
        for domain, own in of.items()
        for some in _fill(own, most_tokens)
    ]


def _fill(groups: Sequence[PromptGroup], most_tokens: int) -> list[list[PromptGroup]]:
    rows: list[list[PromptGroup]] = []
    left = 0
    for item in groups:
        if not rows or len(item) > left:
            rows.append([])
            left = most_tokens
        rows[-1].append(item)
        left -= len(item)
    return rows


def plan(
    groups: Sequence[PromptGroup], *, row_tokens: int, rows: int, shared: float, seed: int
) -> list[list[PackedRow]]:
    """Plan the rows of every training step.

    A share ``shared`` of the rows is trained without the domain's adapter, because the shared
    adapter also serves questions outside all domains.
    """
    rng = random.Random(seed)
    packed = pack(rng.sample(groups, len(groups)), row_tokens)
    rng.shuffle(packed)
    steps = [packed[start : start + rows] for start in range(0, len(packed), rows)]
    return [
        [PackedRow(SHARED, row.groups) if rng.random() < shared else row for row in step]
        for step in steps
    ]
