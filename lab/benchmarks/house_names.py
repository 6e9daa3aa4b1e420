"""What the names in the files of the service stand for, read from their syntax trees."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from house_code import ROOT, Function, SourceFile

_FOREIGN = (str, list, dict, set, re.Match, re.Pattern, Path, Event)
_COMMON = {name for kind in _FOREIGN for name in dir(kind)}
"""Methods that objects of other libraries have as well."""


@dataclass(frozen=True, slots=True, eq=False)
class Entrance:
    """A function or method, and where it stands."""

    module: str
    owner: str
    node: Function

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters, ``self`` included."""
        every = self.node.args
        return [each.arg for each in (*every.posonlyargs, *every.args, *every.kwonlyargs)]


class Names:
    """What the names in the modules of the service stand for."""

    def __init__(self, files: Iterable[SourceFile]) -> None:
        """Read the functions, classes and imports of files."""
        self.functions: dict[tuple[str, str, str], Entrance] = {}
        self._bases: dict[tuple[str, str], list[str]] = {}
        self._doors: defaultdict[str, list[Entrance]] = defaultdict(list)
        self._imports: dict[tuple[str, str], str] = {}
        self._modules: set[str] = set()
        for file in files:
            if file.tree:
                self._read(module_of(file), file.tree)

    def _read(self, module: str, tree: ast.Module) -> None:
        self._modules.add(module)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for name in node.names:
                    self._imports[module, name.asname or name.name] = f"{node.module}.{name.name}"
        for node in tree.body:
            if isinstance(node, Function):
                self.functions[module, "", node.name] = Entrance(module, "", node)
            elif isinstance(node, ast.ClassDef):
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                self._bases[module, node.name] = bases
                for inner in node.body:
                    if isinstance(inner, Function):
                        method = Entrance(module, node.name, inner)
                        self.functions[module, node.name, inner.name] = method
                        self._doors[inner.name].append(method)

    def find_callee(self, caller: Entrance, called: ast.expr) -> Entrance | None:
        """Return what a call enters; None outside the service, or if it is not certain."""
        if isinstance(called, ast.Name):
            module, name = self._resolve(caller.module, called.id)
            function = self.functions.get((module, "", name))
            return function or self._find_method(module, name, "__init__")
        if not isinstance(called, ast.Attribute):
            return None
        if isinstance(called.value, ast.Name):
            if called.value.id in ("self", "cls") and caller.owner:
                return self._find_method(caller.module, caller.owner, called.attr)
            module, name = self._resolve(caller.module, called.value.id)
            if not name or (module, name) in self._bases:
                return self._find_method(module, name, called.attr)
        doors = self._doors[called.attr]
        return doors[0] if len(doors) == 1 and called.attr not in _COMMON else None

    def _resolve(self, module: str, name: str) -> tuple[str, str]:
        """Return the module that defines a name, through the imports of others."""
        while (module, name) in self._imports:
            path = self._imports[module, name]
            if path in self._modules:
                return path, ""
            module, _, name = path.rpartition(".")
        return module, name

    def _find_method(self, module: str, owner: str, name: str) -> Entrance | None:
        """Return a method of a class or of the first of its bases that has it."""
        if method := self.functions.get((module, owner, name)):
            return method
        bases = (self._resolve(module, base) for base in self._bases.get((module, owner), ()))
        return next(filter(None, (self._find_method(*base, name) for base in bases)), None)


def module_of(file: SourceFile) -> str:
    """Return the name by which a file is imported."""
    parts = file.path.relative_to(ROOT).with_suffix("").parts
    inside = parts if parts[0] == "expertrag" else parts[1:]
    return ".".join(inside[:-1] if inside[-1] == "__init__" else inside)
