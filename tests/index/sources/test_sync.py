"""A list of sources in a file, and the store that follows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sources_helper import LIMITS, Page, Site, StoreInStep, write_notes

from expertrag_index.errors import SourceListError, TooManyRemovalsError
from expertrag_index.sources.download import HttpPolicy
from expertrag_index.sources.scratch import Scratch
from expertrag_index.sources.source_list import ListContext, read_source_list
from expertrag_index.sources.sync import SourceSync, SyncReport


class Listed:
    """A list of sources, and a store to bring into step with it."""

    def __init__(self, kept: StoreInStep, file: Path) -> None:
        self._file = file
        self._sync = SourceSync(kept.store, file, kept.writer)
        self._context = ListContext(file.parent, kept.store, LIMITS, HttpPolicy(page_s=5.0))

    def run(self, text: str, *, confirmed: bool = False) -> SyncReport:
        self._file.write_text(text)
        with Scratch() as scratch:
            listed = read_source_list(self._file, self._context, scratch)
            return self._sync.run(listed, confirmed=confirmed)


@pytest.fixture
def listed(kept: StoreInStep, tmp_path: Path) -> Listed:
    return Listed(kept, tmp_path / "sources.yaml")


def test_all_kinds_of_sources(
    kept: StoreInStep, listed: Listed, notes: Path, tmp_path: Path, site: Site
) -> None:
    site.pages["/terms"] = Page(b"Thirty days.", headers={"Content-Type": "text/plain"})
    write_notes(tmp_path / "manuals" / "deep", m="About lathes.", skipped="No.")
    write_notes(tmp_path / "bucket", o="About drills.")
    text = f"""
allow_private_addresses: true
sources:
  - folder: notes
    exclude: [b.md]
  - glob: manuals/**/m.md
  - url: {site.url}/terms
    domain: legal
  - url: file://{tmp_path}/bucket/
"""
    report = listed.run(text)
    assert set(kept.texts) == {
        "a.md",
        "c.md",
        "deep/m.md",
        f"{site.url}/terms",
        f"file://{tmp_path}/bucket/o.md",
    }
    assert (report.step.added, report.step.failures) == (5, ())
    again = listed.run(text).step
    assert (again.read, again.unchanged) == ((), 5)


def test_private_addresses_are_refused_unless_allowed(listed: Listed, site: Site) -> None:
    (failure,) = listed.run(f"sources: [{{url: '{site.url}/p'}}]").step.failures
    assert "loopback address 127.0.0.1, which is refused" in failure.reason
    assert site.requests == []


def test_a_source_that_leaves_the_list_takes_its_documents_along(
    kept: StoreInStep, listed: Listed, notes: Path, tmp_path: Path
) -> None:
    write_notes(tmp_path / "other", x="About birches.")
    with kept.writer() as writer:
        writer.add([])
    listed.run("sources: [{folder: notes}, {folder: other}]")
    report = listed.run("sources: [{folder: notes}]")
    assert report.dropped == {str(tmp_path / "other"): 1}
    assert set(kept.texts) == {"a.md", "b.md", "c.md"}
    assert listed.run("sources: [{folder: notes}]").dropped == {}


def test_other_lists_and_folders_keep_theirs(
    kept: StoreInStep, listed: Listed, notes: Path, tmp_path: Path
) -> None:
    write_notes(tmp_path / "other", x="About birches.")
    kept.step(kept.folder(tmp_path / "other"))  # as a watch does
    listed.run("sources: [{folder: notes}]")
    second = Listed(kept, tmp_path / "second.yaml")
    assert second.run("sources: []").dropped == {}
    assert len(kept.texts) == 4


def test_a_source_may_be_written_in_another_way(
    kept: StoreInStep, listed: Listed, notes: Path
) -> None:
    listed.run("sources: [{folder: notes}]")
    report = listed.run(f"sources: [{{glob: '{notes}/*.md'}}]")
    assert (report.dropped, report.step.removed, report.step.failures) == ({}, 0, ())
    assert len(kept.texts) == 3


def test_most_of_a_store_is_not_deleted_unasked(
    kept: StoreInStep, listed: Listed, tmp_path: Path
) -> None:
    write_notes(tmp_path / "many", **{f"n{i}": f"About plant {i}." for i in range(30)})
    write_notes(tmp_path / "few", x="About birches.")
    both, one = "sources: [{folder: many}, {folder: few}]", "sources: [{folder: few}]"
    listed.run(both)
    with pytest.raises(TooManyRemovalsError, match=r"30 of 31 documents .* left the list"):
        listed.run(one)
    assert len(kept.texts) == 31
    assert listed.run(one, confirmed=True).dropped == {str(tmp_path / "many"): 30}
    assert set(kept.texts) == {"x.md"}


def test_a_missing_folder_is_a_failure(kept: StoreInStep, listed: Listed, notes: Path) -> None:
    listed.run("sources: [{folder: notes}]")
    notes.rename(notes.with_name("away"))
    (failure,) = listed.run("sources: [{folder: notes}]").step.failures
    assert (failure.source, "No such file" in failure.reason) == (str(notes), True)
    assert len(kept.texts) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: [", "is not valid YAML"),
        ("- folder: x", "has no list 'sources'"),
        ("sources: []\nfoo: 1", "unknown field 'foo'"),
        ("sources: [x]", "source 1: give it one of folder, glob and url"),
        ("sources: [{folder: a, url: b}]", "source 1: give it one of"),
        ("sources: [{folder: a, depth: 3}]", "unknown field 'depth'"),
        ("sources: [{folder: 3}]", "folder must be a text"),
        ("sources: [{folder: a, include: 3}]", "include must be a list of texts"),
        ("sources: [{folder: a}, {folder: ./a}]", "source 2 is listed twice"),
        ("sources: [{url: example.com}]", "it is not a URL"),
        ("sources: [{url: 'http://u:pw@'}]", "is not an http or https URL"),
        ("sources: [{url: 'http://[bad/'}]", "invalid URL"),
        ("sources: [{url: 'https://e.com/', include: ['*']}]", "takes neither include nor exclude"),
        ("sources: []\nallow_private_addresses: 1", "must be true or false"),
    ],
)
def test_errors_in_the_list(listed: Listed, text: str, message: str) -> None:
    with pytest.raises(SourceListError) as error:
        listed.run(text)
    assert message in str(error.value)
    assert "pw" not in str(error.value)
