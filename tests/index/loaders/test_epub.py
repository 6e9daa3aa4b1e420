"""EPUB books: parts of the reading order are pages."""

from __future__ import annotations

from pathlib import Path

from index.conftest import load_all, load_whole, zip_of

CONTAINER = """<?xml version="1.0"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>"""
PACKAGE = """<?xml version="1.0"?>{doctype}
<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>The {title}</dc:title><dc:creator>A. Writer</dc:creator>
<dc:language>en</dc:language></metadata>
<manifest>
<item id="toc" href="toc.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="two" href="text/two.xhtml" media-type="application/xhtml+xml"/>
<item id="one" href="text/part%201.xhtml" media-type="application/xhtml+xml"/>
<item id="cover" href="cover.jpg" media-type="image/jpeg"/>
</manifest>
<spine><itemref idref="cover"/><itemref idref="toc"/><itemref idref="one"/><itemref idref="two"/>
</spine></package>"""
PAGE = """<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml">
<head><title>{0}</title></head><body><h1>{0}</h1><p>{1}</p></body></html>"""


def parts() -> dict[str, str]:
    return {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": PACKAGE.format(title="tides", doctype=""),
        "OEBPS/toc.xhtml": PAGE.format("Contents", "One, two"),
        "OEBPS/text/part 1.xhtml": PAGE.format("Ebb", "The water &agrave; bas falls."),
        "OEBPS/text/two.xhtml": PAGE.format("Flood", "It rises."),
    }


def write(path: Path, members: dict[str, str]) -> Path:
    path.write_bytes(zip_of({name: text.encode() for name, text in members.items()}))
    return path


def test_a_book_has_a_page_for_each_part_in_reading_order(tmp_path: Path) -> None:
    (document,) = load_whole(write(tmp_path / "a.epub", parts()))
    assert document.title == "The tides"
    assert document.metadata == {"pages": 2, "author": "A. Writer", "language": "en"}
    assert document.text == "# Ebb\n\nThe water \xe0 bas falls.\n\n# Flood\n\nIt rises."
    assert [document.text[start:][:6] for start in document.page_starts] == ["# Ebb\n", "# Floo"]


def test_a_missing_part_loses_only_itself_and_hidden_text_is_told(tmp_path: Path) -> None:
    members = parts()
    del members["OEBPS/text/two.xhtml"]
    members["OEBPS/text/part 1.xhtml"] = PAGE.format("Ebb", "Seen.<b hidden=''>Unseen</b>")
    (document,), failures = load_all(write(tmp_path / "a.epub", members))
    assert document.text == "# Ebb\n\nSeen."
    reasons = {failure.reason: failure.notice for failure in failures}
    assert reasons == {
        "part 'OEBPS/text/two.xhtml' is missing in the book": False,
        "hidden text is left out: hidden (1)": True,
    }


def test_a_book_with_drm_is_told_and_one_with_locked_fonts_is_read(tmp_path: Path) -> None:
    for part, readable in (("OEBPS/font.otf", True), ("OEBPS/text/two.xhtml", False)):
        listed = f'<encryption><x><CipherReference URI="{part}"/></x></encryption>'
        path = write(tmp_path / "a.epub", parts() | {"META-INF/encryption.xml": listed})
        documents, failures = load_all(path)
        assert (len(documents) == 1, not failures) == (readable, readable)
    assert failures[0].reason == "the book is encrypted (DRM)"


def test_entities_are_not_expanded_and_no_file_is_read_through_them(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    doctype = f'<!DOCTYPE package [<!ENTITY s SYSTEM "{tmp_path}/secret.txt">]>'
    members = parts() | {"OEBPS/book.opf": PACKAGE.format(title="&s;", doctype=doctype)}
    documents, _ = load_all(write(tmp_path / "a.epub", members))
    assert "secret" not in documents[0].title
