"""The rules and reports of the Tallis Institute."""

from __future__ import annotations

from datetime import date

HANDBOOK = (
    (
        "Diving rules",
        "diving-rules.v1.md",
        "1.0",
        date(2018, 5, 1),
        "A dive team has at least two people. Nobody dives deeper than 25 metres. "
        "The logbook is kept by the boat's skipper.",
    ),
    (
        "Diving rules",
        "diving-rules.v2.md",
        "2.0",
        date(2022, 5, 1),
        "A dive team has at least three people. Nobody dives deeper than 30 metres. "
        "The logbook is kept by the dive leader.",
    ),
    (
        "Diving rules",
        "diving-rules.v2-1.md",
        "2.1",
        date(2026, 2, 1),
        "A dive team has at least four people. Nobody dives deeper than 18 metres. "
        "The logbook is kept by the safety officer.",
    ),
    (
        "Data storage rules",
        "storage.md",
        "3",
        date(2020, 1, 1),
        "Raw data are kept for 10 years. Copies are made every night.",
    ),
    (
        "Data storage rules",
        "storage-2025.md",
        "4",
        date(2025, 3, 1),
        "Raw data are kept for 15 years. Copies are made every hour.",
    ),
    (
        "Purchasing rules",
        "purchasing.md",
        "2",
        date(2024, 6, 1),
        "Orders above 5,000 pounds need three quotes. Smaller orders are signed by the "
        "group leader.",
    ),
)
OLD_PURCHASING = (
    "Purchasing rules\n\nOrders above 2,000 pounds need two quotes. Smaller orders are signed by "
    "the director. Pinned to the board next to the kitchen."
)
REPORTS = {
    "Expedition report Fair Isle.docx": (
        "Expedition report: Fair Isle",
        ("Voyage", "Work at sea", "Results", "Lessons"),
        (
            ("The ship was the Meriel Grace.", ("Meriel Grace",)),
            ("Fourteen scientists were on board.", ("Fourteen", "14")),
            ("The voyage lasted 23 days.", ("23 days", "23-day")),
            ("A storm cost four days of work.", ("storm",)),
            ("We took 312 sediment cores.", ("312",)),
            ("An unknown species of copepod was found in 17 samples.", ("copepod",)),
            ("The glider was lost near Foula.", ("Foula", "glider")),
            ("The next expedition should carry a spare winch.", ("winch",)),
        ),
    ),
    "Evaluation of the help desk.docx": (
        "Evaluation of the help desk",
        ("Questions", "Findings", "Advice"),
        (
            ("The evaluation was made by Corrie Consulting.", ("Corrie",)),
            ("Satisfaction rose to 87 percent.", ("87 percent", "87%", "87 %")),
            ("Waiting for spare parts is the most common complaint.", ("spare parts",)),
            ("One ticket costs 38 pounds on average.", ("38",)),
            ("Two new positions are advised.", ("positions",)),
            ("A self-service portal should open in spring.", ("self-service", "portal")),
        ),
    ),
}
"""Long reports; a third one is in HTML, see ``STRATEGY``."""
STRATEGY = (
    "Strategy to 2030",
    ("Position", "Aims", "Money"),
    (
        ("The institute has 142 employees.", ("142",)),
        ("Its first aim is a full map of the Minch.", ("Minch",)),
        ("Its second aim is to halve the emissions of its boats.", ("emissions",)),
        ("A doctoral programme starts with Lund University.", ("Lund",)),
        ("The core grant falls by 6 percent.", ("6 percent", "6%", "6 %")),
        ("A new building costs 11.5 million pounds.", ("11.5 million", "11.5m")),
    ),
)
