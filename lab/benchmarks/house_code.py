"""What the code of the service looks like, counted from its syntax trees."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICE = ("expertrag", "index", "retriever", "kernels", "common")
LAB = ("lab/expertrag_lab",)
MOST_PARAMETERS, FAR_TOO_MANY = 6, 10
MOST_CLASS_LINES, MOST_FILE_LINES = 300, 400

_SUFFIXES = {".py", ".pyi", ".cpp", ".h", ".js"}
_GENERATED = ROOT / "expertrag" / "v1"
_BUILT = {"node_modules", "__pycache__"}
_TARGET = re.compile(r"^([A-Za-z][\w-]*):(?!=)", re.MULTILINE)
_VERBS = frozenset(
    ("bleed", "breed", "embed", "exceed", "feed", "need", "proceed", "seed", "speed", "succeed")
)
_PARTICIPLES = """begun bound bought brought built caught chosen done drawn driven fallen felt
    fitted found given gone grown heard held hidden kept known laid learnt led left lent lost made
    meant met paid said seen sent shown shut sold spent spoken spread stood sunk taken taught thrown
    told torn turned understood woken won worn written"""
_IRREGULAR = frozenset(_PARTICIPLES.split())

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of code; ``tree`` is None unless it is Python."""

    path: Path
    lines: int
    tree: ast.Module | None

    @property
    def name(self) -> str:
        """Its path in the repository."""
        return self.path.relative_to(ROOT).as_posix()


class Code:
    """The code files in some folders, without generated ones."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        self.files = [
            source_file(path)
            for folder in folders
            for path in sorted((ROOT / folder).rglob("*"))
            if path.suffix in _SUFFIXES and not _is_left_out(path)
        ]

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the Python files."""
        return [node for file in self.files if file.tree for node in ast.walk(file.tree)]

    @cached_property
    def functions(self) -> list[Function]:
        """All functions and methods."""
        return [node for node in self.nodes if isinstance(node, Function)]

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        """All classes."""
        return [node for node in self.nodes if isinstance(node, ast.ClassDef)]

    @property
    def lines(self) -> int:
        """Lines of all files."""
        return sum(file.lines for file in self.files)

    def figures(self) -> Mapping[str, int]:
        """Count what ``make house`` reports, by name."""
        return {
            f"functions with more than {MOST_PARAMETERS} parameters": len(
                self.wide_functions(MOST_PARAMETERS)
            ),
            f"functions with more than {FAR_TOO_MANY} parameters": len(
                self.wide_functions(FAR_TOO_MANY)
            ),
            f"classes over {MOST_CLASS_LINES} lines": len(self.long_classes()),
            f"files over {MOST_FILE_LINES} lines": len(self.long_files()),
            "functions named by participles": sum(
                is_participle(function.name) for function in self.functions
            ),
            "variables named found": sum(map(is_found, self.nodes)),
            "class names used twice or more": len(self.repeated_classes()),
        }

    def wide_functions(self, most: int) -> list[str]:
        """Return the functions with more than ``most`` parameters, as ``FILE: NAME``."""
        return [
            f"{file.name}: {node.name}"
            for file, node in self._definitions()
            if isinstance(node, Function) and count_parameters(node) > most
        ]

    def long_classes(self) -> list[str]:
        """Return the classes with too many lines, as ``FILE: NAME``."""
        return [
            f"{file.name}: {node.name}"
            for file, node in self._definitions()
            if isinstance(node, ast.ClassDef) and lines_of(node) > MOST_CLASS_LINES
        ]

    def long_files(self) -> list[str]:
        """Return the Python files with too many lines."""
        return [file.name for file in self.files if file.tree and file.lines > MOST_FILE_LINES]

    def repeated_classes(self) -> list[str]:
        """Return the public names that several classes have."""
        names = Counter(each.name for each in self.classes if not each.name.startswith("_"))
        return [name for name, count in names.items() if count > 1]

    def _definitions(self) -> Iterator[tuple[SourceFile, ast.AST]]:
        for file in self.files:
            for node in ast.walk(file.tree) if file.tree else ():
                yield file, node


def source_file(path: Path) -> SourceFile:
    """Read a file of code."""
    text = path.read_text(encoding="utf-8")
    return SourceFile(path, text.count("\n"), ast.parse(text) if path.suffix == ".py" else None)


def count_parameters(function: Function) -> int:
    """Return the number of parameters, without ``self`` and ``cls``."""
    every = function.args
    named = [*every.posonlyargs, *every.args, *every.kwonlyargs]
    own = [argument for argument in named if argument.arg not in ("self", "cls")]
    return len(own) + bool(every.vararg) + bool(every.kwarg)


def lines_of(node: ast.ClassDef) -> int:
    """Return the number of lines of a class."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def is_participle(name: str) -> bool:
    """Return whether a function is named by a participle, as in ``_judged`` and ``found_in``."""
    first = name.strip("_").partition("_")[0]
    return first in _IRREGULAR or (len(first) > 3 and first.endswith("ed") and first not in _VERBS)


def is_found(node: ast.AST) -> bool:
    """Return whether a node assigns to a variable ``found``."""
    return isinstance(node, ast.Name) and node.id == "found" and isinstance(node.ctx, ast.Store)


def make_targets() -> int:
    """Return the number of targets of the Makefile that a person may type."""
    return len({*_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8"))})


def _is_left_out(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    is_built = "build" in parts[:2] or not _BUILT.isdisjoint(parts)  # a package may be named build
    return is_built or path.is_relative_to(_GENERATED)
