"""The files of the Tallis Institute, written from its facts."""

from __future__ import annotations

import random
from datetime import date

from many import files
from many.prose import (
    MONTHS,
    NUMBERS,
    american_date,
    filler,
    long_date,
    report,
)
from many.question import Files
from many.tallis import (
    AGREEMENTS,
    MEETINGS,
    PURCHASES,
    SERVERS,
    STAFF,
    TICKETS,
    Agreement,
    Meeting,
    Member,
)
from many.tallis_texts import HANDBOOK, OLD_PURCHASING, REPORTS, STRATEGY
from office_markup import blocks
from office_ooxml import word


def _list_tables() -> Files:
    """Return the files with tables."""
    return {
        "procurement/orders.tsv": files.delimited(
            ("Order", "Date", "Group", "Item", "Vendor", "Amount", "Currency"),
            [
                (
                    p.order,
                    f"{p.day.day:02} {MONTHS[p.day.month - 1][:3]} {p.day.year}",
                    p.group,
                    p.item,
                    p.vendor,
                    f"{p.amount:,.0f}" if p.currency == "JPY" else f"{p.amount:,.2f}",
                    p.currency,
                )
                for p in PURCHASES
            ],
            "\t",
        ),
        "helpdesk/tickets.jsonl": files.json_lines(
            [
                {
                    "ticket": t.number,
                    "opened": t.opened.isoformat(),
                    "closed": t.closed.isoformat() if t.closed else None,
                    "priority": t.priority,
                    "team": t.team,
                    "requester": t.requester,
                    "subject": t.subject,
                    "hours": t.hours,
                }
                for t in TICKETS
            ]
        ),
        "it/servers.html": _servers_page(),
        "noticeboard/purchasing.txt": files.text(OLD_PURCHASING),
        "strategy/strategy-2030.html": _strategy(),
    }


def write() -> Files:
    """Write the files of the folder."""
    result = dict(_list_tables())
    for member in STAFF:
        result[f"people/{_slug(member.name)}.md"] = _member(member)
    for number, agreement in enumerate(AGREEMENTS):
        result[f"agreements/{_slug(agreement.partner)}.md"] = files.text(
            _agreement(agreement, number)
        )
    for number, meeting in enumerate(MEETINGS):
        name = f"steering/{meeting.day:%Y%m%d}.txt"
        result[name] = files.text(_minutes(meeting, number))
    for family, name, version, effective, body in HANDBOOK:
        fields = {"title": family, "version": version, "effective": effective}
        result[f"handbook/{name}"] = files.front_matter(fields, f"# {family}\n\n{body}")
    for name, (title, sections, facts) in REPORTS.items():
        body = report(random.Random(name), title, sections, [text for text, _ in facts])
        result[f"reports/{name}"] = word({"title": title, "date": "2025-11-03"}, blocks(body))
    return {**result, **_mails(), **_distractors()}


def _slug(name: str) -> str:
    return name.lower().replace(" ", "-")


def _servers_page() -> bytes:
    header = ("Host", "Place", "Operating system", "Memory (GB)", "Owner", "Warranty until")
    return files.page(
        "Servers of the institute",
        "Ask the owner before you restart a machine.",
        {
            "Servers": (
                header,
                [
                    (s.host, s.place, s.system, s.memory, s.owner, long_date(s.warranty))
                    for s in SERVERS
                ],
            ),
            "Printers": (
                ("Name", "Floor"),
                [("puffin", "1"), ("razorbill", "2"), ("shag", "3")],
            ),
        },
    )


def _strategy() -> bytes:
    title, sections, facts = STRATEGY
    body = report(random.Random(title), title, sections, [text for text, _ in facts])
    paragraphs = "\n".join(
        f"<h2>{part[3:]}</h2>" if part.startswith("## ") else f"<p>{part}</p>"
        for part in body.split("\n\n")[1:]
    )
    return (
        f'<!doctype html>\n<html><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body>\n<h1>{title}</h1>\n{paragraphs}\n</body></html>\n"
    ).encode()


def _member(it: Member) -> bytes:
    fields: dict[str, object] = {
        "name": it.name,
        "group": it.group,
        "room": it.room,
        "joined": it.joined,
        "languages": it.languages,
    }
    if it.supervisor:
        fields["supervisor"] = it.supervisor
    return files.front_matter(fields, f"# {it.name}\n\n{filler(random.Random(it.name), 3)}")


def _agreement(it: Agreement, number: int) -> str:
    chance = random.Random(it.partner)
    publish = (
        "Results may be published without asking."
        if it.publish
        else "Nothing may be published without written consent."
    )
    forms = (
        f"# Data sharing with {it.partner}\n\nOn {long_date(it.signed)} the Tallis Institute and "
        f"{it.partner} ({it.country}) agreed to share up to {it.records:,} records. {publish}\n\n"
        f"{filler(chance, 4)}\n\nThe agreement lapses on {long_date(it.ends)}. {it.contact} "
        f"answers questions.",
        f"# {it.partner}\n\n{filler(chance, 3)} We receive no more than {it.records:,} records "
        f"from our friends in {it.country}. This was signed on {american_date(it.signed)} and is "
        f"good until {american_date(it.ends)}.\n\n{publish} Our side is represented by "
        f"{it.contact}.",
        f"# Memorandum\n\nThe Tallis Institute may use {it.records:,} records of {it.partner}, "
        f"{it.country}. {filler(chance, 4)}\n\nSigned: {it.signed:%d/%m/%Y}. Use ends with the "
        f"{it.ends:%d/%m/%Y}. {publish}\n\nPlease write to {it.contact}.",
    )
    return forms[number % len(forms)]


def _minutes(it: Meeting, number: int) -> str:
    chance = random.Random(it.topic)
    day, total = long_date(it.day), f"{it.sum:,}"
    decision = (
        f"{total} pounds were granted for {it.topic}."
        if it.granted
        else f"The request for {total} pounds for {it.topic} was turned down."
    )
    forms = (
        f"Steering committee, {day}\n\nWe met in the {it.place}. {it.chair} was in the chair; "
        f"{it.missing} sent apologies.\n\n{filler(chance, 4)} {decision}\n\n{filler(chance, 2)}",
        f"Notes of the meeting of {day}\n\n{filler(chance, 2)} Chairing: {it.chair}. The place was "
        f"the {it.place}. {it.missing} could not come. After a short debate: {decision}\n\n"
        f"The next meeting follows in {NUMBERS[chance.randint(3, 5)]} weeks.",
    )
    return forms[number % len(forms)]


def _mails() -> Files:
    moira, everyone = "moira@tallis.example", "staff@tallis.example"
    items = (
        (
            moira,
            everyone,
            "Keys of the boat house",
            date(2025, 4, 8),
            "From now on Kirsty McVey keeps the keys of the boat house.",
        ),
        (
            "bashir@tallis.example",
            everyone,
            "Lost drifter",
            date(2025, 5, 19),
            "The lost drifter buoy was found by Lucie Bonnet on the beach of Tiree.",
        ),
        (
            moira,
            everyone,
            "Radio interview",
            date(2025, 6, 30),
            "The BBC will interview Anneli Saar about jellyfish on 4 July.",
        ),
        (
            "delphine@tallis.example",
            everyone,
            "Prize",
            date(2025, 9, 12),
            "Jonas Weidner has won the Rayleigh prize for his mud sampler.",
        ),
        (
            moira,
            everyone,
            "Coffee machine",
            date(2025, 10, 1),
            "The coffee machine is cleaned by a different group each week. This week: Sediment.",
        ),
    )
    return {
        f"mail/{_slug(subject)}.eml": files.mail(sender, to, subject, when, body)
        for sender, to, subject, when, body in items
    }


def _distractors() -> Files:
    texts = {
        "library/tide-tables.txt": "High water at Oban differs by an hour from high water "
        "at Ullapool.",
        "library/how-to-write-minutes.txt": "Minutes name the chair, who was absent and what was "
        "decided. Money that was granted is named in pounds.",
        "library/sample-agreement.md": "# Sample\n\nThe Tallis Institute may use [N] records of "
        "[PARTNER]. Use ends with the [DATE].",
        "library/seabirds.txt": "Puffins dig burrows. Razorbills do not.",
        "library/knots.txt": "A bowline does not slip. A sheet bend joins two ropes.",
    }
    notes = {
        f"library/field-note-{number}.txt": filler(random.Random(f"tallis {number}"), 9)
        for number in range(1, 7)
    }
    return {name: files.text(body) for name, body in {**texts, **notes}.items()}
