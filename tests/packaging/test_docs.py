"""The documentation: links lead somewhere, and pages keep to their length."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "lab/docs").rglob("*.md")),
    *(ROOT / "lab" / name for name in ("README.md", "results/README.md")),
    *sorted((ROOT / "lab/benchmarks").rglob("README.md")),
    *sorted((ROOT / "expertrag/models/bundles").rglob("README.md")),
    *sorted((ROOT / "examples").rglob("README.md")),
)
LENGTHS = {
    ROOT / "README.md": 150,
    **dict.fromkeys(sorted((ROOT / "docs/guide").glob("*.md")), 100),
    **dict.fromkeys(sorted((ROOT / "lab/docs/guide").glob("*.md")), 100),
}

_LINK = re.compile(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_FENCED = re.compile(r"^(`{3,})[^\n]*\n.*?^\1[ ]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _text(page: Path) -> str:
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


@cache
def _anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(_text(page)):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("*", "")
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return frozenset(found)


def _links(page: Path) -> Iterator[str]:
    for target in _LINK.findall(_CODE.sub("", _text(page))):
        if not re.match(r"[a-z]+:", target):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize(("page", "most"), LENGTHS.items(), ids=map(_name, LENGTHS))
def test_pages_are_short(page: Path, most: int) -> None:
    assert len(page.read_text(encoding="utf-8").splitlines()) < most


def test_every_page_is_in_the_index() -> None:
    for docs in (ROOT / "docs", ROOT / "lab" / "docs"):
        index = docs / "README.md"
        linked = {(docs / link.partition("#")[0]).resolve() for link in _links(index)}
        assert linked >= set(docs.glob("*/*.md"))


def test_paths_that_code_names_exist() -> None:
    named = {
        (path, name)
        for folder in ("expertrag", "retriever", "index", "kernels", "protos", "lab")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".proto"}
        for name in re.findall(
            r"(?<![\w/])(?:lab/)?docs/[\w/-]+\.(?:md|svg)", path.read_text(encoding="utf-8")
        )
    }
    assert not [(path, name) for path, name in named if not (ROOT / name).exists()]


def test_anchors_are_as_github_makes_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b_c`, d-e (1)!\n\n## Twice\n\n```sh\n# no heading\n```\n\n## Twice\n")
    assert _anchors(page) == {"a-b_c-d-e-1", "twice", "twice-1"}
