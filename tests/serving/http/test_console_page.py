"""The console's page: its files, their headers, what they weigh, and what they may not hold."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest
from http_fixtures import Served

from expertrag.serving.http.console.page import FILES, page_files

OWN = sorted(path for path in FILES.iterdir() if path.is_file())
MOST_BYTES = 150_000


def test_the_page_and_its_files_are_served(served: Served) -> None:
    page = served.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    paths = re.findall(r'(?:href|src)="(/[^"]*)"', page.text)
    assert "/console/app.mjs" in paths
    for path in paths:
        assert served.get(path).status_code == 200, path


def test_scripts_styles_and_calls_are_of_the_same_server(served: Served) -> None:
    for path in ("/", "/console/app.mjs", "/console/vendor/preact.mjs", "/console/style.css"):
        headers = served.get(path).headers
        rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
        assert rules == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "connect-src": "'self'",
            "img-src": "'self' data:",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
            "base-uri": "'none'",
            "require-trusted-types-for": "'script'",
            "trusted-types": "'none'",
        }
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_a_file_that_the_browser_has_is_not_sent_again(served: Served) -> None:
    first = served.get("/console/style.css", headers={"accept-encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert first.content == (FILES / "style.css").read_bytes()
    known = {"if-none-match": f'W/{first.headers["etag"]}, "other"'}
    again = served.get("/console/style.css", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    plain = served.get("/console/style.css", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize(
    "path", ["/console/", "/console/../page.py", "/console/%2e%2e/page.py", "/console/vendor"]
)
def test_nothing_else_is_served(served: Served, path: str) -> None:
    response = httpx.get(httpx.URL(served.url, raw_path=path.encode()))
    assert response.status_code == 404


def test_the_page_is_small() -> None:
    files = page_files().values()
    assert sum(len(file.content) for file in files) < MOST_BYTES


def test_vendored_files_are_what_their_packages_publish() -> None:
    folder = FILES / "vendor"
    listed = json.loads((folder / "vendored.json").read_text("utf-8"))
    for each in listed:
        content = (folder / each["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == each["sha256"], each["file"]
        assert (folder / each["licence_file"]).is_file()
        assert each["version"]
    named = {each[key] for each in listed for key in ("file", "licence_file")}
    assert {path.name for path in folder.iterdir()} == named | {"vendored.json"}


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_text_never_becomes_markup_or_script(path: Path) -> None:
    text = path.read_text("utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|setHTML"
    assert not re.search(rf"{forbidden}|srcdoc|javascript:|https?://(?!www\.w3\.org/)", text)
    assert not re.search(r"<style|<script(?! src=| type=\"module\" src=)|\son\w+=\"|style=\"", text)


def test_every_import_names_a_file_that_is_served() -> None:
    served = page_files()
    imports = 0
    for name, file in served.items():
        for target in re.findall(r'from "([^"]+)"', file.content.decode()):
            imports += 1
            folder = name.rpartition("/")[0]
            assert target.startswith("./"), (name, target)
            path = "/".join(filter(None, (folder, target.removeprefix("./"))))
            assert path in served, (name, target)
    assert imports > 20
