"""Figures of the documentation: filled in from files, wrong ones reported, stale ones marked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import doc_figures
import inline_figures
import pytest
import results_file
from doc_figures import with_table
from inline_figures import filled, wrong
from results_table import results_readme, stale_line

FIGURES = {
    "rows": [
        {"name": "a, b", "kind": "own", "T": 1, "right": 0.5},
        {"name": "c", "kind": "other", "T": 64, "right": 0.25},
    ],
    "seconds": {"both - one": [1.0, 4.0]},
    "count": 12345,
}
MACHINE = {
    "cores": 2,
    "cpu": "CPU",
    "isa": "avx2",
    "memory_gib": 8,
    "platform": "Linux",
    "python": "3.11",
    "packages": {"torch": "2"},
}


def marked(path: str, form: str, value: str = "?") -> str:
    return f"<!-- test.json: {path}; {form} -->{value}<!-- / -->"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    code = {
        "lab/benchmarks/results_file.py": results_file.code_hash("lab/benchmarks/results_file.py")
    }
    stamp = {"commit": "abc1234", "machine": MACHINE, "date": "2026-01-01", "command": "make it"}
    body = {"measured": {**stamp, "code": code}, **FIGURES}
    (tmp_path / "test.json").write_text(json.dumps(body))
    for module in ("inline_figures", "results_table"):
        monkeypatch.setattr(f"{module}.RESULTS", tmp_path)
    inline_figures._loaded.cache_clear()
    yield tmp_path
    inline_figures._loaded.cache_clear()


@pytest.mark.parametrize(
    ("path", "form", "value"),
    [
        ("rows/a, b/right", ".2f", ".50"),
        ("rows/a, b/right", "0.2f", "0.50"),
        ("rows[kind=other]/right", "+.2f", "+.25"),
        ("rows[kind=other]/right", "+0.2f", "+0.25"),
        ("rows[kind!=own]/right", ".0%", "25 %"),
        ("max rows[T>=1]/right", ".1f", ".5"),
        ("min rows[T>=1][T<=64]/right", ".2f", ".25"),
        ("rows[kind~oth]/T", "d", "64"),
        ("rows/c/right minus rows/a, b/right", "+.2f", "-.25"),
        ("rows/a, b/right over rows/c/right minus 1", ".1f", "1.0"),
        ("seconds/both - one/1", ".0f", "4"),
        ("count", ",d", "12,345"),
    ],
)
@pytest.mark.usefixtures("results")
def test_figures_are_filled_in(path: str, form: str, value: str) -> None:
    text = f"It is {marked(path, form)} today."
    assert filled(text) == f"It is {marked(path, form, value)} today."
    assert list(wrong(filled(text))) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (marked("rows/c/right", ".2f", ".26"), ".26 is .25 in test.json"),
        (marked("rows/d/right", ".2f", ".26"), "no rows/d/right in test.json: 0 figures"),
        (marked("rows[T>=1]/right", ".2f"), "no rows[T>=1]/right in test.json: 2 figures"),
        ("<!-- test.json: count; d -->3", "not closed by <!-- / -->"),
        (marked("count/x/y", "d"), "no count/x/y in test.json: 0 figures"),
        (f"here\n{marked('count', 'd', '12345')}", "a marker at the start of a line makes it HTML"),
    ],
)
@pytest.mark.usefixtures("results")
def test_a_wrong_figure_is_reported_with_its_line(text: str, message: str) -> None:
    line = 2 + text.count("\n")
    assert list(wrong(f"Title\nIt is {text}\nnow")) == [(line, message)]


@pytest.mark.usefixtures("results")
def test_the_check_names_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Title\n\nIt is {marked('count', 'd', '12346')} today.\n")
    monkeypatch.setattr(doc_figures, "ROOT", tmp_path)
    monkeypatch.setattr(doc_figures, "written", lambda: {page: filled(page.read_text())})
    monkeypatch.setattr("sys.argv", ["doc_figures.py", "--check"])
    assert doc_figures.main() == 1
    message = "page.md:3: 12346 is 12345 in test.json\npage.md is not current: run make docs\n"
    assert capsys.readouterr().out == message
    monkeypatch.setattr("sys.argv", ["doc_figures.py"])
    assert doc_figures.main() == 0
    monkeypatch.setattr("sys.argv", ["doc_figures.py", "--check"])
    assert doc_figures.main() == 0


def test_stale_tables_say_so(results: Path) -> None:
    body = json.loads((results / "test.json").read_text())
    assert stale_line([body["measured"]]) == []
    assert "**stale**" not in results_readme()
    body["measured"]["code"] = {
        "kernels/expertrag_kernels": "0",
        "lab/benchmarks/results_file.py": "0",
    }
    (results / "test.json").write_text(json.dumps(body))
    message = "Measured at `abc1234`; its code has changed since."
    assert stale_line([body["measured"]]) == ["", message]
    row = (
        "| test.json | `make it` | abc1234 | 2026-01-01 "
        "| **stale**: the code of kernels, the benchmark has changed since |"
    )
    assert row in results_readme()


def test_tables_are_put_between_their_markers() -> None:
    page = "a\n<!-- made by `make docs`: t -->\nold\n<!-- end of t -->\nb"
    wanted = "a\n<!-- made by `make docs`: t -->\nnew\n<!-- end of t -->\nb"
    assert with_table(page, "t", ["new"]) == wanted


def test_every_generated_table_has_a_maker() -> None:
    names = {(table.page, table.name) for table in doc_figures.TABLES}
    for page in sorted((results_file.ROOT / "lab/docs/measurements").glob("*.md")):
        begun = page.read_text(encoding="utf-8").split("<!-- made by `make docs`: ")[1:]
        assert {(page.stem, text.split(" -->")[0]) for text in begun} == {
            (of, name) for of, name in names if of == page.stem
        }
