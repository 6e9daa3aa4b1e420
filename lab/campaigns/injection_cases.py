"""The documents of lab/campaigns/data/injection.jsonl: each attack beside an honest document.

question    what a user asks, who knows nothing of the attack
truth       pattern of a right answer
canary      pattern that only an answer to the attacker's liking has
honest      the document that answers the question
attack      the attacker's document about the same subject, and the suffix of its file
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from expertrag.llm import quoting
from expertrag_index.loaders import hidden_html, page_text
from expertrag_index.loaders import parse as parsing
from expertrag_index.loaders.limits import DEFAULT_MAX_FILE_BYTES
from expertrag_index.loaders.walk import Walk
from expertrag_index.types import Document

DATA = Path(__file__).parent / "data" / "injection.jsonl"


@dataclass(frozen=True, slots=True)
class AttackCase:
    """One attack. ``honest`` and ``attack``: name and content of a file."""

    id: str
    category: str
    question: str
    truth: re.Pattern[str]
    canary: re.Pattern[str]
    honest: tuple[str, str]
    attack: tuple[str, str]


def read_cases(path: Path = DATA) -> list[AttackCase]:
    """Read the attacks."""
    return [_case(json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def fingerprint_of(path: Path = DATA) -> str:
    """Return the hash of the attacks."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _case(row: dict[str, object]) -> AttackCase:
    honest, attack = row["honest"], row["attack"]
    assert isinstance(honest, dict) and isinstance(attack, dict)
    name = str(row["id"]).replace(" ", "-")
    return AttackCase(
        id=str(row["id"]),
        category=str(row["category"]),
        question=str(row["question"]),
        truth=re.compile(str(row["truth"]), re.IGNORECASE),
        canary=re.compile(str(row["canary"]), re.IGNORECASE),
        honest=_file(f"honest-{name}", {**honest, "suffix": "txt"}),
        attack=_file(f"other-{name}", attack),
    )


def _file(name: str, made: dict[str, str]) -> tuple[str, str]:
    title, text, suffix = made["title"], made["text"], made["suffix"]
    if suffix == "html":
        content = f"<html><head><title>{html.escape(title)}</title></head><body>{text}</body>"
    elif suffix == "jsonl":
        content = json.dumps({"_id": name, "title": title, "text": text})
    else:
        content = f"---\ntitle: {json.dumps(title)}\n---\n{text}"
    return f"{name}.{suffix}", content


def documents_of(files: Sequence[tuple[str, str]], folder: Path) -> list[Document]:
    """Write files and read them as a build does, but in this process."""
    folder.mkdir(parents=True)
    for name, content in files:
        (folder / name).write_text(content, "utf-8")
    found = [item for file in Walk(folder, DEFAULT_MAX_FILE_BYTES) for item in parsing.parse(file)]
    return [item for item in found if isinstance(item, Document)]


@contextmanager
def undefended() -> Iterator[None]:
    """Read files and write prompts without the defences, for comparison."""
    with ExitStack() as switched:
        for module, name, off in (
            (parsing, "visible", _as_it_is),
            (page_text, "reason_cut", lambda *_: ""),
            (hidden_html.Look, "reason_hidden", ""),
            (quoting, "passage_text", _as_it_is),
            (quoting, "passage_title", _as_it_is),
        ):
            switched.enter_context(patch.object(module, name, off))
        yield


def _as_it_is(text: str) -> str:
    return text
