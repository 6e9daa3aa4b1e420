"""The table of an answer: sorted by its headers, saved as CSV, with how it was counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from browser.conftest import Visit, ask
from http_fixtures import Served, StartHttp
from table_fixtures import COVERAGE, QUERY, TABLE, CountingPipeline, OpenCounting

from expertrag.api.events import TableEvent
from expertrag.api.tables import AnswerTable

ROWS = ".counted tbody tr"
FORMULA = '=cmd|" /C calc"!A0'
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def counting(open_counting: OpenCounting) -> CountingPipeline:
    return open_counting()


@pytest.fixture
def served(start_http: StartHttp, counting: CountingPipeline) -> Served:
    return start_http(lambda: counting)


def test_a_table_is_shown_and_sorted(served: Served, visit: Visit) -> None:
    page = visit(served)
    ask(page, "How many?")

    def titles() -> list[str]:
        return [cells.split("\t")[0] for cells in page.locator(ROWS).all_inner_texts()]

    assert titles() == ["leave", SCRIPT, FORMULA]
    days = page.locator(".counted th", has_text="days")
    for order, first in (("ascending", FORMULA), ("descending", "leave"), ("none", "leave")):
        days.locator("button").click()
        assert days.get_attribute("aria-sort") == order
        assert titles()[0] == first
    assert titles() == ["leave", SCRIPT, FORMULA]
    assert page.locator(".counted td a").first.inner_text() == "office/leave"


def test_it_says_how_it_was_counted_and_what_was_searched(served: Served, visit: Visit) -> None:
    page = visit(served)
    ask(page, "How many?")
    assert page.inner_text(".coverage.unsure") == (
        "40 of 42 rows searched; not sure that this is complete: 2 documents could not be read"
    )
    assert not page.is_visible(".query pre")
    page.click(".query summary")
    assert page.inner_text(".query pre") == QUERY


def test_a_spreadsheet_runs_nothing_of_it(served: Served, visit: Visit) -> None:
    page = visit(served)
    ask(page, "How many?")
    page.click(".counted th button >> text=days")
    with page.expect_download() as download:
        page.click("button >> text=Export as CSV")
    assert download.value.suggested_filename == "table.csv"
    lines = Path(download.value.path()).read_text("utf-8-sig").splitlines()
    assert lines == [
        '"title","days","paid"',
        '"\'=cmd|"" /C calc""!A0",-3,false',
        f'"{SCRIPT}",2.5,',
        '"leave",27,true',
    ]


def test_a_single_value_has_no_table(
    served: Served, counting: CountingPipeline, visit: Visit
) -> None:
    covered = replace(COVERAGE, left_out=0, complete=True)
    counting.counted = TableEvent(AnswerTable(("count",), ((3,),), (), QUERY), covered)
    page = visit(served)
    ask(page, "How many?")
    assert page.inner_text(".coverage.complete") == "42 of 42 rows searched, complete"
    assert page.locator(".counted table").count() == 0


def test_a_long_table_is_shown_on_demand(
    served: Served, counting: CountingPipeline, visit: Visit
) -> None:
    table = AnswerTable(("n", "m"), tuple((number, f"row {number}") for number in range(1_250)))
    counting.counted = TableEvent(table, COVERAGE)
    page = visit(served)
    ask(page, "Which?")
    assert page.locator(ROWS).count() == 100
    assert "1,250 rows" in page.inner_text(".table-tools")
    page.click("button >> text=Show all")
    assert page.locator(ROWS).count() == 1_250
    assert page.locator(".counted th").count() == len(TABLE.columns) - 1  # no column of sources
