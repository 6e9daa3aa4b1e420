"""PDF files: order of the text, broken words, hidden text, damage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fpdf import FPDF
from index.conftest import load_all, load_whole

from expertrag_index.build.sections import sections
from expertrag_index.loaders.hyphens import join_broken_words
from expertrag_index.types import Document


def pdf_of(
    *streams: str, page: str = "", form: str = "", catalog: str = "", more: Sequence[str] = ()
) -> bytes:
    """A PDF with a page for each content stream, and a form that it may draw as ``/Form Do``.

    :param more: objects, after those of the pages.
    """
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    resources = f"<< /Font << /F {font} >> /XObject << /Form 3 0 R >> >>"
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(streams)))
    head = f"/Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources {resources}"
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(streams)} >>",
        f"<< {head} /Length {len(form)} >>\nstream\n{form}\nendstream",
    ]
    for number, stream in enumerate(streams):
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources {resources} "
            f"/Contents {5 + 2 * number} 0 R {page} >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    objects += more
    body, places = "%PDF-1.7\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{each}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"trailer << /Root 1 0 R /Size {len(places) + 1} >>\nstartxref\n{len(body)}\n%%EOF"
    return f"{body}xref\n0 {len(places) + 1}\n0000000000 65535 f \n{table}{end}".encode()


def show(text: str, x: int = 50, y: int = 700, before: str = "") -> str:
    return f"q BT /F 12 Tf {before} {x} {y} Td ({text}) Tj ET Q"


def read(tmp_path: Path, content: bytes) -> Document:
    (tmp_path / "a.pdf").write_bytes(content)
    (document,) = load_whole(tmp_path / "a.pdf")
    return document


def test_lines_of_a_turned_page_are_read_in_their_order(tmp_path: Path) -> None:
    lines = [show(f"Line {number} of the page.", y=700 - 15 * number) for number in range(5)]
    for turned in (0, 90, 180, 270):
        text = read(tmp_path, pdf_of("\n".join(lines), page=f"/Rotate {turned}")).text
        assert text.split("\n") == [f"Line {number} of the page." for number in range(5)]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (("a har-", "bour pilot"), "a harbour pilot"),
        (("a har\\255", "bour pilot"), "a harbour pilot"),
        (("the Wi-", "Fi of 2024-", "25"), "the Wi-\nFi of 2024-\n25"),
        (("a dash -", "and more"), "a dash -\nand more"),
    ],
)
def test_words_that_a_line_breaks_are_joined(
    tmp_path: Path, lines: tuple[str, ...], text: str
) -> None:
    shown = [show(line, y=700 - 14 * number) for number, line in enumerate(lines)]
    assert read(tmp_path, pdf_of("\n".join(shown))).text == text


@pytest.mark.parametrize(
    ("stream", "form", "reason"),
    [
        (show("Unseen", before="3 Tr"), "", "not drawn"),
        ("/Form Do", show("Unseen", before="3 Tr"), "not drawn"),
        (show("Unseen", x=-500), "", "outside the page"),
        (show("Unseen", y=9000), "", "outside the page"),
    ],
    ids=["not drawn", "in a form", "left of the page", "above the page"],
)
def test_what_a_page_does_not_show_is_left_out(
    tmp_path: Path, stream: str, form: str, reason: str
) -> None:
    """As in two files of pypdf's tests.

    `SF424_page2.pdf` has "NGMS Agency" in rendering mode 3, `imagemagick-images.pdf` the word
    "Background" above pages of four points.
    """
    content = pdf_of(f"{show('Seen.')}\n{stream}\n{show('Kept.', y=600)}", form=form)
    (tmp_path / "a.pdf").write_bytes(content)
    (document,), (failure,) = load_all(tmp_path / "a.pdf")
    assert document.text.split("\n") == ["Seen.", "Kept."]
    assert failure.notice
    assert failure.reason == f"hidden text is left out: {reason} (1)"


def test_transparent_text_is_left_out_and_faint_text_kept(tmp_path: Path) -> None:
    made = FPDF()
    made.add_page()
    made.set_font("Helvetica")
    for text, opacity in (("Unseen", 0.0), ("Faint", 0.1)):
        with made.local_context(fill_opacity=opacity):
            made.cell(text=text, new_x="LMARGIN", new_y="NEXT")
    (tmp_path / "a.pdf").write_bytes(bytes(made.output()))
    (document,), (failure,) = load_all(tmp_path / "a.pdf")
    assert document.text == "Faint"
    assert failure.reason == "hidden text is left out: transparent (1)"


def test_text_in_a_form_is_read_and_blank_text_needs_no_notice(tmp_path: Path) -> None:
    blank = show(" ", before="3 Tr")
    document = read(tmp_path, pdf_of(f"/Form Do\n{blank}", form=show("In a form.")))
    assert document.text == "In a form."


def test_a_damaged_page_loses_only_itself(tmp_path: Path) -> None:
    content = pdf_of(show("First."), show("Second."), show("Third."))
    damaged = content.replace(b"6 0 obj\n<< /Type /Page ", b"6 0 obj\n[ /Type /Page ]")
    assert damaged != content
    (tmp_path / "a.pdf").write_bytes(damaged)
    documents, failures = load_all(tmp_path / "a.pdf")
    assert [document.text for document in documents] == ["First.\n\nThird."]
    assert list(documents[0].page_starts) == [0, 8, 8]
    assert [failure.reason for failure in failures] == ["page 2 is damaged"]


def test_a_file_with_a_wrong_table_of_its_objects_is_read(tmp_path: Path) -> None:
    content = pdf_of(show("Still here.")).replace(b"startxref\n", b"startxref\n9")
    assert read(tmp_path, content).text == "Still here."


def test_forms_that_draw_themselves_end_or_lose_their_file_only(tmp_path: Path) -> None:
    for name, times in (("a.pdf", 1), ("b.pdf", 2)):  # the second doubles at each level
        (tmp_path / name).write_bytes(pdf_of(f"{show('Seen.')} /Form Do", form="/Form Do " * times))
    (tmp_path / "c.txt").write_text("Good text.")
    documents, failures = load_all(tmp_path)
    assert [document.text for document in documents] == ["Seen.", "Good text."]
    assert [failure.source.rpartition("/")[2] for failure in failures] == ["b.pdf"]


def form_of(*fields: str, text: str = "") -> bytes:
    """A PDF with a text and a form; each field is given by the rest of its dictionary."""
    numbers = " ".join(f"{6 + at} 0 R" for at in range(len(fields)))
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    about = f"/DA (/Helv 12 Tf 0 g) /DR << /Font << /Helv {font} >> >>"
    widgets = [
        "<< /Type /Annot /Subtype /Widget /DA (/Helv 12 Tf 0 g)"
        f" /Rect [9 {y} 300 {y + 20}] {field} >>"
        for y, field in zip(range(500, 0, -50), fields, strict=False)
    ]
    catalog = f"/AcroForm << /Fields [{numbers}] {about} >>"
    return pdf_of(show(text), page=f"/Annots [{numbers}]", catalog=catalog, more=widgets)


def test_values_of_a_form_are_read_as_they_are_shown(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        form_of(
            "/FT /Tx /T (name) /V (alice) /F 4",
            "/FT /Ch /Ff 131072 /T (colour) /V (Blau) /Opt [(Rot) (Blau)] /F 4",
            "/FT /Tx /T (unseen) /V (hidden) /F 2",
            "/FT /Tx /Ff 8192 /T (password) /V (secret) /F 4",
            text="Applicant:",
        ),
    )
    assert set(document.text.split()) == {"Applicant:", "alice", "Blau", "******"}


def test_a_form_without_other_text_is_not_a_scan(tmp_path: Path) -> None:
    assert read(tmp_path, form_of("/FT /Tx /T (name) /V (bob) /F 4")).text == "bob"


def test_a_text_that_is_put_on_a_page_is_read(tmp_path: Path) -> None:
    note = "<< /Type /Annot /Subtype /FreeText /Rect [0 0 600 800] /F 4 /AP << /N 3 0 R >> >>"
    form = show("Checked in May", y=90)
    content = pdf_of(show("Under it."), page="/Annots [6 0 R]", form=form, more=[note])
    assert read(tmp_path, content).text.split("\n") == ["Under it.", "Checked in May"]


BROKEN = [
    ("the linux-gnu port", "linux-", "gnu", "linux-gnu"),
    ("a harbour", "har-", "bour", "harbour"),
    ("a buildd and builddeb", "build-", "deb", "builddeb"),
    ("build and build the package of a package", "build-", "package", "build-package"),
    ("nothing known", "har-", "bour", "harbour"),
    ("the Wi-Fi works", "Wi-", "Fi", "Wi-Fi"),
    ("MacSyma is old", "Mac-", "Syma", "MacSyma"),
    ("in 1996-99 and", "1996-", "99", "1996-99"),
    ("nothing known", "2014-", "6271", "2014-\n6271"),
]


@pytest.mark.parametrize(("known", "before", "after", "text"), BROKEN)
def test_the_document_tells_a_broken_word_from_a_compound(
    tmp_path: Path, known: str, before: str, after: str, text: str
) -> None:
    lines = [show(line, y=700 - 14 * at) for at, line in enumerate((f"{known}.", before, after))]
    other = [show(line, y=700 - 14 * at) for at, line in enumerate((before, after))]
    document = read(tmp_path, pdf_of("\n".join(lines), "\n".join(other)))
    assert document.text.endswith(f".\n{text}\n\n{text}")


def test_a_soft_hyphen_always_joins() -> None:
    assert join_broken_words(["linux-gnu and linux\xad\ngnu"]) == ["linux-gnu and linuxgnu"]


def test_prompts_and_comments_are_not_headings(tmp_path: Path) -> None:
    lines = ("As root:", "# apt-get install harbour", "## a comment", "#include", "Done. " * 9)
    shown = [show(line, y=700 - 14 * number) for number, line in enumerate(lines)]
    document = read(tmp_path, pdf_of("\n".join(shown)))
    assert "\n # apt-get install harbour\n ## a comment\n#include\n" in document.text
    assert [section.heading for section in sections(document.text)] == [""]
