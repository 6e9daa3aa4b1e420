"""The way of a question through the files of the service, read from their syntax trees.

The walk begins at the parameter ``request`` of ``Pipeline._answer``. It follows calls depth first,
in the order in which they are written, if an argument or the object itself is the value: its name,
a part of it, an object made of it, or the result of a call that returns it. A function is walked
once. A method of another object is followed if one class alone has a method of its name.

A stay is a run of functions entered in one file, a room a file, and a return a stay in a file that
was entered before. This is a count of its own: other tools follow a value by other rules.
"""

from __future__ import annotations

import ast
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from house_code import SERVICE, Code
from house_names import Entrance, Names

START = ("expertrag.answer.pipeline", "Pipeline", "_answer", "request")
_ASSIGNING = (ast.For, ast.comprehension, ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.withitem)


class Walk:
    """Follows a value; ``visits`` are the modules of the functions that it enters, in order."""

    def __init__(self, names: Names) -> None:
        """Begin with no visit."""
        self.visits: list[str] = []
        self.names = names
        self.returning: set[Entrance] = set()
        self._passed: defaultdict[Entrance, set[str]] = defaultdict(set)

    def enter(self, function: Entrance, followed: set[str]) -> None:
        """Enter a function with the value as these parameters."""
        self.visits.append(function.module)
        if not followed <= self._passed[function]:
            self._passed[function] |= followed
            _Body(self, function, set(followed)).visit_all(function.node.body)


class _Body:
    """A function that is walked; ``_followed`` are the names of the value in it."""

    def __init__(self, walk: Walk, function: Entrance, followed: set[str]) -> None:
        self._walk = walk
        self._function = function
        self._followed = followed

    def visit_all(self, nodes: Iterable[ast.AST]) -> None:
        """Visit statements or expressions: inner calls first, and values before their names."""
        for node in nodes:
            children = [*ast.iter_child_nodes(node)]
            if isinstance(node, _ASSIGNING):
                self._assign(node, children)
            elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
                self.visit_all(children[-len(node.generators) :])
                del children[-len(node.generators) :]
            self.visit_all(children)
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) and node.value:
                self._return(node.value)

    def _assign(self, node: ast.AST, children: list[ast.AST]) -> None:
        """Visit the value that a node assigns, take it from its children, and name it."""
        fields = dict(ast.iter_fields(node))
        value = fields.get("value") or fields.get("iter") or fields.get("context_expr")
        if value is None:
            return
        children.remove(value)
        self.visit_all([value])
        targets = fields.get("targets") or [fields.get("target") or fields.get("optional_vars")]
        if self._is_value(value):
            for name in itertools.chain.from_iterable(map(ast.walk, filter(None, targets))):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    self._followed.add(name.id)

    def _return(self, value: ast.expr) -> None:
        if self._is_value(value):
            self._walk.returning.add(self._function)

    def _call(self, call: ast.Call) -> None:
        callee = self._walk.names.find_callee(self._function, call.func)
        if callee and (followed := set(self._parameters(call, callee))):
            self._walk.enter(callee, followed)

    def _parameters(self, call: ast.Call, callee: Entrance) -> Iterator[str]:
        """Yield the parameters that the value is given as."""
        names = callee.parameters
        bound = names[:1] if names[:1] in (["self"], ["cls"]) else []
        if isinstance(call.func, ast.Attribute) and self._is_value(call.func.value):
            yield from bound
        for name, value in zip(names[len(bound) :], call.args, strict=False):
            if self._is_value(value):
                yield name
        yield from (word.arg for word in call.keywords if word.arg and self._is_value(word.value))

    def _is_value(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self._followed
        if isinstance(node, ast.Call):
            callee = self._walk.names.find_callee(self._function, node.func)
            if callee and callee.node.name != "__init__":
                return callee in self._walk.returning
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            return (name[:1].isupper() or name == "replace") and any(
                map(self._is_value, (*node.args, *(word.value for word in node.keywords)))
            )
        return any(map(self._is_value, ast.iter_child_nodes(node)))


def walk_question(code: Code | None = None) -> Mapping[str, int]:
    """Count the stays, rooms and returns of a question."""
    names = Names((code or Code(SERVICE)).files)
    walk = Walk(names)
    walk.enter(names.functions[START[:3]], {START[3]})
    return count_stays(walk.visits)


def count_stays(visits: Iterable[str]) -> Mapping[str, int]:
    """Count the stays, rooms and returns of a walk."""
    stays = [room for room, _ in itertools.groupby(visits)]
    rooms = len({*stays})
    return {
        "stays of a question, static": len(stays),
        "rooms of a question, static": rooms,
        "returns of a question, static": len(stays) - rooms,
    }
