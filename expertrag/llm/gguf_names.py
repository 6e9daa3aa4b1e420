"""Names of GGUF files in several parts: ``NAME-00001-of-00003.gguf``, as llama.cpp splits them."""

from __future__ import annotations

import re
from pathlib import Path

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


def part_names(name: str) -> tuple[str, ...]:
    """Return the names of all parts, in order, from the name of any; a whole file is one part."""
    match = _PART.fullmatch(name)
    count = int(match["count"]) if match else 1
    if match is None or not 1 <= int(match["number"]) <= count:
        return (name,)
    return tuple(f"{match['stem']}-{n:05}-of-{count:05}.gguf" for n in range(1, count + 1))


def model_name(name: str) -> str:
    """Return a file's name without its ending, and without the number of its part."""
    match = _PART.fullmatch(name)
    return match["stem"] if match else Path(name).stem
