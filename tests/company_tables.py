"""The tables of a small company, as a store would derive them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from expertrag_index.tables.database import TableDatabase
from expertrag_index.tables.extract import TextDocument
from expertrag_index.types import Scalar

EXPENSES = [
    ("2026-04-03", "Ada Lund", "travel", 834.21, "EUR"),
    ("2026-05-07", "Ben Okoro", "travel", 1200.0, "EUR"),
    ("2026-05-09", "Ben Okoro", "meals", 45.1, "EUR"),
    ("2026-06-21", "Cara Voss", "travel", 310.4, "EUR"),
    ("2025-06-02", "Ada Lund", "hardware", 99.0, "EUR"),
]
PEOPLE = [
    ("Ada Lund", "Oslo", "Ben Okoro"),
    ("Ben Okoro", "Berlin", "Cara Voss"),
    ("Cara Voss", "Berlin", None),
]
HOSTS = "# Servers\n\nHost | RAM (GB)\nHost: alpha | RAM (GB): 64\nHost: beta | RAM (GB): 128"
INCIDENTS = [
    ("2026-04-12", "high", 40, "Certificate expired on gateway 1"),
    ("2026-05-12", "low", 80, "Disk full on backup 2"),
    ("2026-05-30", "high", 120, "Certificate expired on gateway 3"),
]

COMPANY = {
    "expenses.csv": "date,employee,category,amount,currency\n"
    + "".join(f"{','.join(map(str, row))}\n" for row in EXPENSES),
    **{
        f"incidents/INC-{number}.md": f"---\ndate: {day}\nseverity: {severity}\n---\n# {title}\n\n"
        f"Duration: {minutes} minutes\n\nIt was repaired."
        for number, (day, severity, minutes, title) in enumerate(INCIDENTS, 1)
    },
    "reports/warehouse.md": "# Plan for the move of the warehouse\n\n## Cost\n\n"
    "The move costs 340,000 EUR, of which 90,000 EUR are for racks.\n"
    "The board has agreed to it in March.\n\n## Dates\n\n"
    "The new hall opens on 4 October 2027.\nThe old hall closes two weeks later.\n"
    "Nobody expects a delay, as far as anyone can tell today.\n\n## People\n\n"
    "Maud Okonjo leads the move, and 14 people work on it.\n",
    "secret/bonuses.md": "---\nlabels: [board]\n---\n# Bonuses\n\n"
    "Employee | Bonus\n--- | ---\nCANARY Quill | 77001\n",
}
"""Files of such a company."""


def company() -> TableDatabase:
    """Return the tables of expenses, people, servers and incidents."""
    documents = [
        *_records("expenses.csv", ("date", "employee", "category", "amount", "currency"), EXPENSES),
        *_records("people.json", ("name", "office", "manager"), PEOPLE),
        TextDocument("servers.html", "Servers", "servers.html", {}, HOSTS),
        *(
            TextDocument(
                f"incidents/INC-{number}.md",
                title,
                f"incidents/INC-{number}.md",
                {"date": day, "severity": severity},
                f"# {title}\n\nDuration: {minutes} minutes\n\nIt was repaired.",
            )
            for number, (day, severity, minutes, title) in enumerate(INCIDENTS, 1)
        ),
    ]
    return TableDatabase.of(documents)


def _records(
    file: str, names: Sequence[str], rows: Sequence[Sequence[Scalar | None]]
) -> list[TextDocument]:
    documents = []
    for number, row in enumerate(rows, 1):
        cells = {name: cell for name, cell in zip(names, row, strict=True) if cell is not None}
        metadata: Mapping[str, object] = {**cells, "text_fields": list(cells)}
        text = "\n".join(f"{name}: {cell}" for name, cell in cells.items())
        documents.append(TextDocument(f"{file}#{number}", "", file, metadata, text))
    return documents
