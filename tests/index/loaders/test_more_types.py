"""Notebooks, XML files, and texts whose headings are lines: AsciiDoc, LaTeX, Org, POD, manuals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index.conftest import parsed, text_of
from lxml import etree

from expertrag_index.build.sections import sections


def notebook(*cells: dict[str, Any]) -> str:
    metadata = {"language_info": {"name": "python"}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def test_cells_of_a_notebook_and_what_they_wrote_are_kept(tmp_path: Path) -> None:
    outputs = [
        {"output_type": "stream", "text": ["one\n", "two\n"]},
        {"output_type": "execute_result", "data": {"text/plain": ["42"], "image/png": "AAAA"}},
        {
            "output_type": "error",
            "ename": "KeyError",
            "evalue": "'x'",
            "traceback": ["\x1b[0;31mKeyError\x1b[0m: 'x'"],
        },
    ]
    content = notebook(
        {"cell_type": "markdown", "source": ["# Sales\n", "By **\0region\0**: `a**b`"]},
        {"cell_type": "code", "source": "# load\nx = 2**3", "outputs": outputs},
        {"cell_type": "raw", "source": "# raw"},
        {"cell_type": "code", "source": "", "outputs": []},
    )
    (document,), failures = parsed(tmp_path / "a.ipynb", content)
    assert failures == []
    assert document.title == "Sales"
    assert document.text == (
        "# Sales\nBy region: `a**b`\n\n```python\n# load\nx = 2**3\n```\n\n```text\none\ntwo\n```"
        "\n\n```text\n42\n```\n\n```text\nKeyError: 'x'\n```\n\n # raw"
    )


def test_a_notebook_of_before_2015_is_read(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Old"]},
        {"cell_type": "code", "input": ["x"], "outputs": [{"output_type": "stream", "text": "y"}]},
    ]
    content = json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3})
    assert text_of(tmp_path / "a.ipynb", content) == "## Old\n\n```\nx\n```\n\n```text\ny\n```"


XML = """<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE a [<!ENTITY e "expanded"><!ENTITY f SYSTEM "file:///etc/passwd">]>
<a xmlns="urn:x" xmlns:y="urn:y" y:version="1"><!-- no -->
  <title>Caf\xe9 prices</title>
  <para>Some <b>bold</b> text
    &e; &f;.</para>
  <item sku="A1"><name>Lamp</name><price unit="EUR">5</price></item>
  <list>{items}</list><flag on="yes"/><screen># code
  more</screen><note><![CDATA[# not a heading]]></note># nor this</a>"""


def test_values_of_xml_stand_after_their_names(tmp_path: Path) -> None:
    (document,), failures = parsed(
        tmp_path / "a.xml", XML.format(items="<i>one</i>" * 20).encode("latin-1")
    )
    assert (document.title, failures) == ("Caf\xe9 prices", [])
    for line in ("title: Caf\xe9 prices", "name: Lamp", "price: 5 (unit=EUR)", "flag (on=yes)"):
        assert line in document.text.split("\n")
    assert "Some bold text &e; &f;." in document.text
    assert "root:" not in document.text
    assert [section.heading for section in sections(document.text)] == [""]


NAMES = st.sampled_from("abcd")
WORDS = st.text("klmn ", max_size=9)
TREES = st.recursive(
    st.tuples(NAMES, WORDS, WORDS),
    lambda inner: st.tuples(NAMES, WORDS, st.lists(inner, max_size=3)),
)


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.recursive(
        st.tuples(NAMES, WORDS, WORDS),
        lambda inner: st.tuples(NAMES, WORDS, st.lists(inner, max_size=3)),
    )
)
def test_every_letter_of_xml_is_kept_in_order(tmp_path: Path, tree: Any) -> None:
    root = etree.Element("root", x="attr")
    _grow(root, tree)
    text = text_of(tmp_path / "a.xml", etree.tostring(root))
    assert [each for each in text if each in "klmn"] == [
        each for each in "".join(root.itertext()) if each in "klmn"
    ]


def _grow(parent: etree._Element, tree: Any) -> None:
    name, text, inner = tree
    element = etree.SubElement(parent, name)
    element.text = text
    for each in inner if isinstance(inner, list) else []:
        _grow(element, each)
    if isinstance(inner, str):
        element.tail = inner


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("a.adoc", "= Guide\n\n== Set *up*\n\n# no\n[NOTE]\nText.",
         "# Guide\n\n## Set *up*\n\n # no\n[NOTE]\nText."),
        ("a.org", "* One\n** Two\n# no\n- x * y\n", "# One\n## Two\n # no\n- x * y"),
        ("a.tex", "% c\n\\section{One}\n\\subsection*{Two}\nx_1 \\% \\textbf{b}\n",
         "% c\n## One\n### Two\nx_1 \\% \\textbf{b}"),
        ("a.pod", "=head1 NAME\n\nls - B<list>\n\n=over 4\n", "# NAME\n\nls - B<list>\n\n=over 4"),
        # ls.1 of coreutils
        ("ls.1", '.\\" generated\n.TH LS "1"\n.SH NAME\nls \\- list\n.PP\n.B ls\n'
         '[\\fI\\,OPTION\\/\\fR]\n.SS "Exit status:"\n',
         '\n.TH LS "1"\n## NAME\nls - list\n\nls\n[OPTION]\n### Exit status:'),
        # deb-changes.5 of dpkg-dev in Swedish
        ("a.5", ".TH a 5\nDe h\\(:ar f\\(oan \\[u00E4]r \\(ss\\*(C`\\&.\n",
         ".TH a 5\nDe h\xe4r f\xe5n \xe4r \xdf."),
        ("app.log.1", "C:\\fox \\- # text\n", "C:\\fox \\- # text"),
    ],
)  # fmt: skip
def test_headings_of_other_texts(tmp_path: Path, name: str, text: str, shown: str) -> None:
    assert text_of(tmp_path / name, text) == shown.strip("\n")


def test_translations_and_settings_are_code(tmp_path: Path) -> None:
    content = '#: a.c:5\nmsgid "Save"\nmsgstr "Sichern"\n'
    assert text_of(tmp_path / "de.po", content) == f"```po\n{content}```"


def test_xhtml_is_a_page(tmp_path: Path) -> None:
    page = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body><p>A</p></body></html>'
    assert text_of(tmp_path / "a.xhtml", page) == "A"
