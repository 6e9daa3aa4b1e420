"""Write the files of a folder."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from email.message import EmailMessage

import xlsxwriter

Rows = Sequence[Sequence[object]]
_MADE = datetime(2026, 1, 5, tzinfo=UTC).replace(tzinfo=None)


def delimited(header: Sequence[str], rows: Rows, delimiter: str = ",") -> bytes:
    """Write a CSV or TSV file."""
    target = io.StringIO()
    writer = csv.writer(target, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return target.getvalue().encode()


def workbook(sheets: Mapping[str, tuple[Sequence[str], Rows]]) -> bytes:
    """Write an Excel file of several sheets; dates are dates, numbers are numbers."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        book.set_properties({"created": _MADE})
        bold = book.add_format({"bold": True})
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        for name, (header, rows) in sheets.items():
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, header, bold)
            for row, values in enumerate(rows, start=1):
                for column, value in enumerate(values):
                    if isinstance(value, date):
                        sheet.write_datetime(row, column, value, day)
                    else:
                        sheet.write(row, column, value)
    return buffer.getvalue()


def json_lines(records: Sequence[Mapping[str, object]]) -> bytes:
    """Write one record a line."""
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in records).encode()


def json_file(value: object) -> bytes:
    """Write a JSON file."""
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def front_matter(fields: Mapping[str, object], body: str) -> bytes:
    """Write Markdown with front matter."""
    lines = "".join(f"{name}: {_yaml(value)}\n" for name, value in fields.items())
    return f"---\n{lines}---\n\n{body.strip()}\n".encode()


def text(body: str) -> bytes:
    """Write a plain text."""
    return f"{body.strip()}\n".encode()


def mail(sender: str, to: str, subject: str, when: date, body: str) -> bytes:
    """Write a mail."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = datetime(when.year, when.month, when.day, 9, 12, tzinfo=UTC)
    message["Message-ID"] = f"<{when:%Y%m%d}.{len(body)}.{len(subject)}@mail.example>"
    message.set_content(f"{body.strip()}\n")
    return message.as_bytes()


def page(title: str, intro: str, tables: Mapping[str, tuple[Sequence[str], Rows]]) -> bytes:
    """Write an HTML page with captioned tables."""
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{html.escape(intro)}</p>"]
    for caption, (header, rows) in tables.items():
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "\n".join(
            f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>"
            for row in rows
        )
        parts.append(
            f"<h2>{html.escape(caption)}</h2>\n<table>\n<thead><tr>{head}</tr></thead>\n"
            f"<tbody>\n{body}\n</tbody>\n</table>"
        )
    content = "\n".join(parts)
    return (
        f'<!doctype html>\n<html><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"</head>\n<body>\n{content}\n</body></html>\n"
    ).encode()


def _yaml(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    plain = str(value)
    return json.dumps(plain, ensure_ascii=False) if ": " in plain or "#" in plain else plain
