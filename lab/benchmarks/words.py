"""Check the words of the code and its docs, as CONTRIBUTING.md asks.

    make lint
    python lab/benchmarks/words.py

Three rules, for the packages of the service and of the lab, ``docs/``, ``lab/docs/`` and README.md:

names      functions and methods are not named by participles. Properties may be, since they are
           values, and so may the names in ``PUBLIC``. Strings in ``ON_DISK`` stay as well.
phrases    docstrings, comments, strings and docs do not say "is no list" for "is not a list", "that
           of" for a noun left out, ", too" at the end of a clause, or "beside" for "next to".
sentences  sentences of docstrings and docs have at most 25 words. Those of messages and help have
           as many up to a full stop, a semicolon or a colon: "problem: detail; cure". Messages are
           the strings of ``raise`` and of the errors of the project.

Code, tables, headings, lists in columns and the fields of docstrings have no sentences. Lists of
names ("name: text", at least two) have a sentence, or several, for each name. Prints each fault
with its file and line, and then exits with 1.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from house_code import ROOT, Function, is_participle
from words_texts import Kind, Text, markdown_texts, python_texts

PACKAGES = ("expertrag", "index", "retriever", "kernels", "common", "lab/expertrag_lab")
DOCS = ("README.md", "docs", "lab/docs")
GENERATED = ("expertrag/v1",)
PUBLIC = frozenset(("skipped", "fused_experts"))
"""Names of the public API, which stay: ``Documents.skipped``, and ``fused_experts``, a noun: the
operation that the kernels implement."""
ON_DISK = frozenset(("asked in another split, too",))
"""Strings that bundles on disk hold, which stay."""
MOST_WORDS = 25

_PHRASES = (
    (
        re.compile(
            r"(?<!\bthere )\b(?:is|are|was|were) no (?!longer|more|less|fewer|better|worse)", re.I
        ),
        'say "is not a", or "has no"',
    ),
    (re.compile(r"\b(?:that|those) of\b", re.I), "name the noun again"),
    (re.compile(r", too(?= *(?:[.,;:)]|$))", re.I), 'say "also"'),
    (re.compile(r"\bbeside\b", re.I), 'say "next to" or "besides"'),
)
_END = re.compile(r"(?<=[.!?])[\"')*]*\s+(?=[\"'`(*\[]*[A-Z0-9`])")
_CLAUSE_END = re.compile(r"(?<=[.!?;:])\s+")
_CODE = re.compile(r"`+[^`]+`+")
_LINK = re.compile(r"\]\([^)]*\)")
_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong in a line of a file."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def main() -> None:
    """Print the faults."""
    result = sorted(fault for path in paths() for fault in check(path))
    for fault in result:
        print(fault)
    sys.exit(bool(result))


def paths() -> Iterator[Path]:
    """Yield the files to check."""
    left_out = tuple(ROOT / folder for folder in GENERATED)
    for folders, suffix in ((PACKAGES, "*.py"), (DOCS, "*.md")):
        for folder in folders:
            path = ROOT / folder
            for each in sorted(path.rglob(suffix)) if path.is_dir() else (path,):
                if not any(map(each.is_relative_to, left_out)):
                    yield each


def check(path: Path) -> Iterator[Fault]:
    """Yield the faults of a file."""
    name = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        texts: Iterable[Text] = markdown_texts(text)
    else:
        for line, message in check_names(ast.parse(text)):
            yield Fault(name, line, message)
        texts = python_texts(text)
    for each in texts:
        for line, message in (*check_phrases(each), *check_length(each)):
            yield Fault(name, line, message)


def check_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the functions that participles name; RPCs, such as ``Embed``, are not meant."""
    for node in ast.walk(tree):
        if not isinstance(node, Function) or node.name in PUBLIC or node.name[0].isupper():
            continue
        if is_participle(node.name) and not _is_property(node):
            yield node.lineno, f"function {node.name}: name it by a verb"


def check_phrases(text: Text) -> Iterator[tuple[int, str]]:
    """Yield the phrases that a reader must read twice."""
    if text.value in ON_DISK:
        return
    plain = _CODE.sub(lambda code: "`" * len(code.group()), text.value)
    for pattern, cure in _PHRASES:
        for match in pattern.finditer(plain):
            yield text.line_at(match.start()), f"{_around(text.value, match)!r}: {cure}"


def check_length(text: Text) -> Iterator[tuple[int, str]]:
    """Yield the sentences that are too long."""
    if text.kind is Kind.PHRASES:
        return
    start = 0
    end = _CLAUSE_END if text.kind is Kind.MESSAGE else _END
    for border in (*(match.end() for match in end.finditer(text.value)), len(text.value)):
        sentence = text.value[start:border].strip()
        if (count := count_words(sentence)) > MOST_WORDS:
            yield text.line_at(start), f"{count} words, over {MOST_WORDS}: {sentence[:60]}…"
        start = border


def count_words(sentence: str) -> int:
    """Return the number of words; code is one, and signs are none."""
    plain = _LINK.sub("]", _CODE.sub("x", sentence))
    return sum(bool(_WORD.search(word)) for word in plain.split())


def _is_property(node: Function) -> bool:
    return any("property" in ast.unparse(each) for each in node.decorator_list)


def _around(text: str, match: re.Match[str]) -> str:
    return text[max(0, match.start() - 25) : match.end() + 20]


if __name__ == "__main__":
    main()
