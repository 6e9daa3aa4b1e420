"""How-to questions about the examples of tldr pages, and when an answer to one is right.

An example is a description and a command: "Extract an archive: `tar xf path/to/file`". An answer is
right if it has the command's program and its options.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

from mixed_store import MATERIAL

from expertrag_lab.json_lines import read_lines

FOLDERS = ("tldr/common/", "tldr/linux/")
_EXAMPLE = re.compile(r"- ([A-Z][^:`]{12,90}): `([^`|]+)`")
_KEY = re.compile(r"\[(\w+)\]")  # tldr marks the letter of an option: "[x]ml"
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
_PROGRAM = re.compile(r"[\w.+-]+")


@dataclass(frozen=True, slots=True)
class ManualQuestion:
    """A question; ``words``: what a right answer has, the program first."""

    id: str
    text: str
    words: tuple[str, ...]


def questions(data: Path, count: int) -> list[ManualQuestion]:
    """Draw one example from each of ``count`` pages, without those that ``mixed`` asks about."""
    known = read_lines(MATERIAL / "manuals.jsonl")[0]
    asked = {name for _, item in known for name in item["documents"]}
    pages = [
        page
        for _, page in read_lines(data / "demo_docs" / "tldr.jsonl.gz")[0]
        if page["_id"].startswith(FOLDERS) and page["_id"] not in asked
    ]
    rng = random.Random(0)
    rng.shuffle(pages)
    result: list[ManualQuestion] = []
    for page in pages:
        examples = [item for item in _EXAMPLE.findall(page["text"]) if _options(item[1])]
        if examples and len(result) < count:
            description, command = rng.choice(examples)
            result.append(_question(page["_id"], description, command, named=rng.random() < 2 / 3))
    return result


def is_right(answer: str, words: tuple[str, ...]) -> bool:
    """Return whether an answer has the program and the options of its example."""
    program, *options = words
    return program in _PROGRAM.findall(answer) and {*options} <= {*_OPTION.findall(answer)}


def _question(page: str, description: str, command: str, *, named: bool) -> ManualQuestion:
    program = command.split()[0]
    wanted = _KEY.sub(r"\1", description[0].lower() + description[1:])
    text = f"How do I {wanted} with {program}?" if named else f"How do I {wanted}?"
    return ManualQuestion(page, text, (program, *_options(command)))


def _options(command: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_OPTION.findall(command)))
