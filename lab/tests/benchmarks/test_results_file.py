"""Results files: their stamps, and what makes a figure stale."""

from __future__ import annotations

import argparse
import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import results_file
from results_file import changed, code_of, command, hash_of, read, stamps, write

CODE = ("lab/benchmarks/results_file.py", "kernels/expertrag_kernels")
PYTHON = '''
"""Docstring."""
LIMIT = 3
"""Of a constant."""

def half(x: int = 2) -> float:  # comment
    """Half of it."""
    return x / LIMIT
'''
CPP = "int half(int x) { return x / 2; }"


@pytest.fixture
def measured(tmp_path: Path) -> dict[str, Any]:
    write(str(tmp_path / "out.json"), {"right": 0.5}, CODE)
    return read(tmp_path / "out.json")


def test_a_file_names_commit_machine_date_and_command(measured: dict[str, Any]) -> None:
    made = measured["measured"]
    assert measured["right"] == 0.5
    assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?|", made["commit"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", made["date"])
    assert {"cpu", "cores", "memory_gib", "isa", "python", "packages"} <= set(made["machine"])
    assert set(made["code"]) == set(CODE) and all(made["code"].values())
    assert changed(made) == []


def test_commands_name_no_place_on_the_machine(tmp_path: Path) -> None:
    (tmp_path / "sets" / "squad2").mkdir(parents=True)
    (tmp_path / "sets" / "squad2" / "corpus.jsonl.gz").touch()
    sets = str(tmp_path / "sets")
    script = str(results_file.ROOT / "lab/benchmarks" / "eval_mixed.py")
    message = command(
        [script, "--data", sets, f"--set={sets}/squad2", "--packed", f"{tmp_path}/model"]
    )
    assert message == (
        "python lab/benchmarks/eval_mixed.py --data DATA --set=DATA/squad2 --packed model"
    )
    message = command([script, str(results_file.ROOT / "examples"), "--rows", ".eval/rows", "a b"])
    assert message == "python lab/benchmarks/eval_mixed.py examples --rows .eval/rows 'a b'"


def test_parts_keep_the_stamps_of_the_others(tmp_path: Path) -> None:
    target = str(tmp_path / "out.json")
    write(target, {"one": 1}, CODE[:1], ("one",))
    before = read(target)
    write(target, {**before, "two": 2}, CODE[1:], ("two",))
    after = read(target)
    assert (after["one"], after["two"]) == (1, 2)
    assert stamps(after)["one"] == stamps(before)["one"]
    assert list(stamps(after)["two"]["code"]) == [CODE[1]]


def test_json_goes_to_a_file_to_stdout_or_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = results_file.parser("First line.\n\nMore.", "--data", "--work")
    assert made.description == "First line."

    def target(*options: str) -> str | None:
        given: argparse.Namespace = made.parse_args(["--data", str(tmp_path), *options])
        found: str | None = given.json
        return found

    assert (target(), target("--json"), target("--json", "x")) == (None, "-", "x")
    write(None, {"right": 1}, CODE)
    assert capsys.readouterr().out == ""
    write("-", {"right": 1}, CODE[:1])
    assert json.loads(capsys.readouterr().out)["right"] == 1


def test_comments_docstrings_and_formatting_do_not_count() -> None:
    plain = "LIMIT=3\ndef half(\n  x: int=2,\n) -> float:\n  return (x / LIMIT)"
    assert code_of(".py", PYTHON.encode()) == code_of(".py", plain.encode())
    other = "int half(int x) {  // half\n  /* of\n it */ return x / 2;\n}\n"
    assert code_of(".h", CPP.encode()) == code_of(".cpp", other.encode())


@pytest.mark.parametrize(
    ("suffix", "old", "new"),
    [
        (".py", PYTHON, PYTHON.replace("3", "4")),
        (".py", PYTHON, PYTHON.replace("2)", "0)").replace("= 2", "= 0")),
        (".py", "print('a')", "print('b')"),
        (".cpp", CPP, CPP.replace("2", "4")),
        (".txt", "What?", "What? "),
    ],
)
def test_code_counts(suffix: str, old: str, new: str) -> None:
    assert code_of(suffix, old.encode()) != code_of(suffix, new.encode())


def test_names_of_files_count() -> None:
    assert hash_of({"a.py": b"x"}) != hash_of({"b.py": b"x"})
    assert hash_of({}) is None


def test_changed_code_is_stale(
    measured: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = measured["measured"]
    assert changed({**made, "code": {**made["code"], CODE[0]: "0" * 12}}) == [CODE[0]]
    assert changed({"code": {"lab/benchmarks/gone.py": None}}) == ["lab/benchmarks/gone.py"]
    monkeypatch.setattr(results_file, "ROOT", tmp_path)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text(PYTHON)
    now = results_file.code_hash.__wrapped__("package")
    (tmp_path / "package" / "notes.md").write_text("not code")
    (tmp_path / "package" / "module.py").write_text(PYTHON + "# more\n")
    assert results_file.code_hash.__wrapped__("package") == now
    (tmp_path / "package" / "module.py").write_text(PYTHON.replace("3", "4"))
    assert results_file.code_hash.__wrapped__("package") != now


@pytest.mark.parametrize("path", sorted(results_file.RESULTS.glob("*.json")), ids=lambda p: p.name)
def test_every_results_file_is_stamped(path: Path) -> None:
    assert path.stat().st_size < 1_000_000
    made = stamps(read(path))
    assert made
    for one in made.values():
        assert {"commit", "machine", "date", "command", "code"} <= set(one)
        assert "/home" not in json.dumps(one) and "/root" not in json.dumps(one)


def test_every_benchmark_names_code_that_exists() -> None:
    named = {
        item.value
        for path in (results_file.ROOT / "lab/benchmarks").glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CODE"
        for item in ast.walk(node.value)
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    }
    assert len(named) > 20
    assert not [path for path in named if results_file.code_hash(path) is None]
