"""The command that installs an extra, and that every message has it from one place."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from expertrag_common import extras

ROOT = Path(__file__).parents[2]


class _Installed:
    """A distribution with a record of where it is from, as in PEP 610."""

    def __init__(self, record: object) -> None:
        self._record = record

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self._record is None else json.dumps(self._record)


@pytest.mark.parametrize(
    ("record", "command"),
    [
        (None, "pip install -U 'expertrag[ocr,s3]'"),
        ({"url": "https://x/y.whl", "archive_info": {}}, "pip install -U 'expertrag[ocr,s3]'"),
        ({"url": "file:///x", "dir_info": {}}, "pip install -U '.[ocr,s3]' in the checkout"),
        ({"url": "file:///x", "dir_info": {"editable": True}}, "pip install -U -e '.[ocr,s3]' in"),
        (metadata.PackageNotFoundError("expertrag"), "pip install -U '.[ocr,s3]' in the checkout"),
    ],
)
def test_the_command_is_for_where_it_is_installed_from(
    record: object, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def distribution(_name: str) -> _Installed:
        if isinstance(record, Exception):
            raise record
        return _Installed(record)

    monkeypatch.setattr(metadata, "distribution", distribution)
    extras._source.cache_clear()
    try:
        assert extras.install_command("ocr", "s3", option="-U").startswith(command)
    finally:
        extras._source.cache_clear()


def test_no_message_has_a_command_of_its_own() -> None:
    """Where this package comes from only ``install_command`` knows; docstrings may name a way."""
    texts = [
        f"{path.relative_to(ROOT)}: {text}"
        for folder in ("expertrag", "index", "retriever", "kernels", "common")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for text in _strings(ast.parse(path.read_text(encoding="utf-8")))
        if "pip install" in text and "expertrag[" in text
    ]
    assert not texts


def _strings(tree: ast.AST) -> Iterator[str]:
    """Yield the strings of a module but for its docstrings."""
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documented:
            yield str(node.value)
