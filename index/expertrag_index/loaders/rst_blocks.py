"""The blocks of reStructuredText: what of comments, targets, directives and code is shown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping

from expertrag_index.loaders import tables_rst
from expertrag_index.loaders.verbatim import Verbatim, fence_code

_EXPLICIT = re.compile(r"(\s*)\.\.(?:\s+(.*))?")
_DIRECTIVE = re.compile(r"(?:\|[^|]*\| )?([\w:.+-]*[\w+-]) ?::(?:\s+(.*))?")
_NOTE = re.compile(r"\[(?:[0-9]+|\*|#?[\w.+-]*)\](?:\s.*)?")
_OPTION = re.compile(r"\s*:([\w -]+):(?:\s+(.*))?")
_SHOWN_OPTIONS = re.compile("alt|caption|header|title")
_NOT_SHOWN = re.compile("date|index|meta|raw|replace|role|testcleanup|testsetup|unicode")
_WITHOUT_TEXT = re.compile(
    "class|container|contents|default-domain|default-role|figure|highlight|image"
    "|ifconfig|include|moduleauthor|only|rst-class|sectionauthor|sectnum|tabularcolumns"
)
"""Directives whose argument is not shown; their content is."""
_CODE = re.compile(
    "code|code-block|doctest|ipython|literalinclude|parsed-literal|plot|prompt|sourcecode|testcode"
    "|testoutput"
)
_FORMULAS = re.compile("digraph|graphviz|math|productionlist")
_LABELS = {
    "versionadded": "New in version", "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version", "seealso": "See also:",
} | {
    name: f"{name.capitalize()}:"
    for name in ("attention", "caution", "danger", "error", "hint", "important", "note", "tip",
                 "warning")
}  # fmt: skip
"""What readers see of a directive instead of its name."""
_ENTRY = re.compile(r"\s*(\S.*?)\s*<[^<>]*>\s*$")
"""A title in a table of contents, before the file that it stands for."""
_LANGUAGE = re.compile(r"[\w+#.-]+")
_REPLACED = re.compile(r"\s*\.\. \|([^|]+)\| replace::(.*)")
_ITEM = re.compile(r"\s*(?:(?:[-*+\u2022]|\(?[\w#]{1,3}[.)])\s+)?")


def replacements(lines: list[str]) -> dict[str, str]:
    """Return the texts of the substitutions that a file defines, by name."""
    texts: dict[str, str] = {}
    for at, line in enumerate(lines):
        if definition := _REPLACED.fullmatch(line):
            end = _end_of_block(lines, at + 1, _indent(line), until_blank=True)
            texts[definition[1]] = " ".join(" ".join([definition[2], *lines[at + 1 : end]]).split())
    return texts


def without_markup(lines: list[str], code: Verbatim) -> Iterator[str]:
    """Yield the lines that are shown, with code set aside."""
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if explicit := _EXPLICIT.fullmatch(line):
            shown, at = _explicit(lines, at, explicit, code)
            yield from shown
        elif line.lstrip().startswith(">>> "):
            start, at = at - 1, _end_of_block(lines, at, -1, until_blank=True)
            yield _set_aside(lines[start:at], code, "pycon")
        elif end := _end_of_literal(lines, at):
            if text := line.rstrip().removesuffix("::").rstrip():
                yield f"{text}:"
            yield from ("", _set_aside(lines[at:end], code), "")
            at = end
        elif table := tables_rst.write_rst_table(lines, at - 1):
            yield from table[0]
            at = table[1]
        else:
            yield line


def _explicit(
    lines: list[str], at: int, markup: re.Match[str], code: Verbatim
) -> tuple[list[str], int]:
    """Return what is shown of explicit markup, and the line after what is not.

    :param at: the line after its first.
    """
    margin, content = markup[1], markup[2] or ""
    directive = _DIRECTIVE.fullmatch(content)
    if directive:
        return _directive(lines, at, margin, directive, code)
    if _NOTE.fullmatch(content):
        return [f"{margin}{content}"], at
    if not content and (at == len(lines) or not lines[at].strip()):
        return [""], at  # an empty comment, which ends before the blank line
    return [""], _end_of_block(lines, at, len(margin), until_blank=content.startswith("_"))


def _directive(
    lines: list[str], at: int, margin: str, directive: re.Match[str], code: Verbatim
) -> tuple[list[str], int]:
    name, argument = directive[1].lower(), directive[2] or ""
    if _NOT_SHOWN.fullmatch(name):
        return [""], _end_of_block(lines, at, len(margin))
    is_code, is_formula = _CODE.fullmatch(name), _FORMULAS.fullmatch(name)
    hides = is_code or is_formula or _WITHOUT_TEXT.fullmatch(name)
    shown = [" ".join(filter(None, (_LABELS.get(name), "" if hides else argument)))]
    options: dict[str, str] = {}
    while at < len(lines) and (option := _OPTION.fullmatch(lines[at])):
        options[option[1]] = option[2] or ""
        at += 1
    if name == "toctree" and "hidden" in options:
        return [""], _end_of_block(lines, at, len(margin))
    end = _end_of_block(lines, at, len(margin))
    if table := _table(name, options, lines[at:end]):
        return [*(f"{margin}{text}" for text in shown if text), *table], end
    shown += [text for option, text in options.items() if _SHOWN_OPTIONS.fullmatch(option)]
    shown = [f"{margin}{text}" for text in shown if text] or [""]
    if name == "toctree":  # readers see the titles of files, not their names
        return [*shown, *(entry[1] for line in lines[at:end] if (entry := _ENTRY.match(line)))], end
    if is_code or is_formula:
        block = [*([argument] if is_formula else []), *lines[at:end]]
        language = argument if name != "parsed-literal" and _LANGUAGE.fullmatch(argument) else ""
        if any(map(str.strip, block)):
            shown += ["", _set_aside(block, code, "" if is_formula else language), ""]
        at = end
    return shown, at


def _table(name: str, options: Mapping[str, str], lines: list[str]) -> list[str] | None:
    """Write a table that a directive holds; None if it is another directive or has no header."""
    rows = options.get("header-rows", "").strip()
    count = int(rows) if rows.isdecimal() and len(rows) < 3 else 0
    if name == "csv-table":
        return tables_rst.csv_table(options.get("header", ""), lines, count)
    return tables_rst.list_table(lines, count) if name == "list-table" else None


def _set_aside(lines: list[str], code: Verbatim, language: str = "") -> str:
    return code.block(fence_code(textwrap.dedent("\n".join(lines)).strip("\n"), language))


def _end_of_literal(lines: list[str], at: int) -> int:
    """Return where the literal block ends that the line above ``at`` announces; 0 if none."""
    line = lines[at - 1].rstrip()
    if not line.endswith("::") or (line.strip(" :") == "" and line.strip() != "::"):
        return 0
    if at == len(lines) or lines[at].strip():
        return 0
    prefix = _ITEM.match(line)  # the text of a list item is indented by its mark
    end = _end_of_block(lines, at, len(prefix[0]) if prefix else 0)
    return end if any(each.strip() for each in lines[at:end]) else 0


def _end_of_block(lines: list[str], at: int, margin: int, *, until_blank: bool = False) -> int:
    """Return the line after a block that is indented deeper than ``margin``, without blank ends."""
    end = at
    while at < len(lines):
        if lines[at].strip():
            if _indent(lines[at]) <= margin:
                break
            end = at + 1
        elif until_blank:
            break
        at += 1
    return end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
