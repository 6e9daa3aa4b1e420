"""Counts of the code's size and shape."""

from __future__ import annotations

import ast
from pathlib import Path

import click
import house
import house_code
import house_path
import pytest
from house_code import Code

from expertrag.config import Config

SOURCE = """
class Index:
    def _named(self, a, b, c, d, e, f, *rest):
        found = found_in(a)
        for found in b:
            found.c = found

class Store: ...
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("_named", "found", "told_by", "judged_rows", "kept")),
        *((name, False) for name in ("embed", "need", "feed_all", "read", "name", "named2")),
    ],
)
def test_participles_are_told_from_verbs(name: str, *, expected: bool) -> None:
    assert house_code.is_participle(name) is expected


def test_a_tree_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house_code, "ROOT", tmp_path)
    (tmp_path / "service" / "build").mkdir(parents=True)
    (tmp_path / "service" / "index.py").write_text(SOURCE)
    (tmp_path / "service" / "other.py").write_text("class Index: ...\n" + "x = 1\n" * 400)
    (tmp_path / "service" / "kernel.cpp").write_text("int x;\n" * 500)
    (tmp_path / "service" / "build" / "left_out.py").write_text(SOURCE)
    code = Code(("service",))
    assert code.lines == 8 + 401 + 500
    assert code.figures() == {
        "functions with more than 6 parameters": 1,
        "functions with more than 10 parameters": 0,
        "classes over 300 lines": 0,
        "files over 400 lines": 1,
        "functions named by participles": 1,
        "variables named found": 2,
        "class names used twice or more": 1,
    }


def test_self_is_no_parameter() -> None:
    function = ast.parse("def f(self, a, /, b, *c, d, **e): ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert house_code.count_parameters(function) == 5


def test_flags_of_nested_commands_are_counted() -> None:
    option = click.Option(["--name"])
    group = click.Group("top", {"ask": click.Command("ask", params=[option])}, params=[option])
    assert dict(house.flags_by_command(group, "")) == {"": 1, "ask": 1}


def test_every_figure_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house, "count_files", lambda _work: dict.fromkeys(_PATH, 1))
    figures = house.figures()
    assert list(figures) == list(house.BARS)
    assert figures["flags of the service"] > figures["flags of ask"] > 10
    assert figures["lines of the service"] > 10_000


_PATH = ("files that one question enters", "moves between files")


def test_one_question_is_followed(tmp_path: Path, model_config: Config) -> None:
    counted = house_path.count_files(tmp_path, model_config)
    assert list(counted) == list(_PATH)
    assert 20 < counted[_PATH[0]] < counted[_PATH[1]]
