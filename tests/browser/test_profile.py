"""The experts of a profile, drawn from what ``llm show --json`` printed."""

from __future__ import annotations

import json

from browser.conftest import Visit, heat_map_file
from http_fixtures import Served


def test_a_profile_is_drawn_and_not_sent(served: Served, visit: Visit) -> None:
    page = visit(served, "#/experts")
    page.wait_for_selector("#profile")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    legal, both = heat_map_file("legal"), heat_map_file()
    page.set_input_files("#profile", [legal, both])
    page.wait_for_selector(".dense >> nth=1")
    assert page.locator(".dense").count() == 2 and sent == []
    assert "tiny: easy-ep, legal, <b>tax</b>" in page.inner_text(".profile")
    rows = json.loads(legal["buffer"])["layers"]
    first = page.locator(".dense >> nth=0")
    for place, row in enumerate(rows):
        cells = first.locator(f"tbody tr >> nth={place}").locator(".cell")
        heat = cells.evaluate_all("all => all.map(each => each.style.getPropertyValue('--heat'))")
        assert heat == [f"{round(100 * value)}%" for value in row["heat"]]
    assert first.locator(".super").get_attribute("title") == "layer 2, expert 3: 1.00, super expert"
    assert first.locator(".super").inner_text() == "◆"


def test_another_file_is_refused(served: Served, visit: Visit) -> None:
    page = visit(served, "#/experts")
    page.wait_for_selector("#profile")
    page.set_input_files("#profile", [heat_map_file()])
    page.wait_for_selector(".dense")
    for text in ("no JSON", '{"layers": []}', '{"layers": "none"}'):
        other = {"name": "rows.json", "mimeType": "application/json", "buffer": text.encode()}
        page.set_input_files("#profile", [other])
        page.wait_for_selector("[role=alert] >> text=rows.json holds no heat map: choose a file")
        assert page.locator(".dense").count() == 0
