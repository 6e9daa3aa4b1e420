"""The files of Brightwater Outfitters, written from its facts."""

from __future__ import annotations

import random
from datetime import date

from many import files
from many.brightwater import (
    CAUSES,
    CONTRACTS,
    EXPENSES,
    INCIDENTS,
    LICENCES,
    OLD_RETURNS,
    PEOPLE,
    POLICIES,
    REPORTS,
    Contract,
    Incident,
)
from many.prose import (
    NUMBERS,
    american_date,
    filler,
    long_date,
    report,
)
from many.question import Files


def _list_tables() -> Files:
    """Return the files with tables."""
    return {
        "finance/expenses-2025.csv": files.delimited(
            ("id", "date", "employee", "category", "currency", "amount", "note"),
            [
                (x.id, x.day, x.employee, x.category, x.currency, f"{x.amount:.2f}", x.note)
                for x in EXPENSES
            ],
        ),
        "hr/people.json": files.json_file(
            [
                {
                    "name": person.name,
                    "role": person.role,
                    "office": person.office,
                    "manager": person.manager,
                    "start_date": person.start.isoformat(),
                    "email": person.email,
                }
                for person in PEOPLE
            ]
        ),
        "it/licences.xlsx": files.workbook(
            {
                "Licences": (
                    ("Tool", "Owner", "Seats", "Renewal"),
                    LICENCES,
                ),
                "Contacts": (
                    ("Office", "Reception"),
                    [("Bristol", "0117 555 01"), ("Leeds", "0113 555 02")],
                ),
            }
        ),
        "policies/old/returns counter sheet.txt": files.text(OLD_RETURNS),
    }


def write() -> Files:
    """Write the files of the folder."""
    result = dict(_list_tables())
    for incident in INCIDENTS:
        slug = incident.title.lower().replace(" ", "-")
        result[f"incidents/{incident.id}-{slug}.md"] = _incident(incident)
    for number, contract in enumerate(CONTRACTS):
        slug = contract.party.lower().replace(" & ", "-").replace(" ", "-")
        result[f"contracts/{slug}.txt"] = files.text(_contract(contract, number))
    for family, name, version, effective, body in POLICIES:
        fields = {"title": family, "version": version, "effective": effective}
        result[f"policies/{name}"] = files.front_matter(fields, f"# {family}\n\n{body}")
    for name, (title, sections, facts) in REPORTS.items():
        chance = random.Random(name)
        body = report(chance, title, sections, [sentence for sentence, _ in facts])
        result[f"reports/{name}"] = files.text(body)
    return {**result, **_mails(), **_distractors()}


def _incident(incident: Incident) -> bytes:
    chance = random.Random(incident.id)
    fields = {
        "id": incident.id,
        "title": incident.title,
        "date": incident.day,
        "severity": incident.severity,
        "author": incident.author,
        "duration_minutes": incident.minutes,
    }
    body = (
        f"# {incident.title}\n\n## What happened\n\nThe {incident.service} was affected. "
        f"{filler(chance, 2)}\n\n## Why\n\n{chance.choice(CAUSES[incident.cause])}\n\n"
        f"## What we do about it\n\n{filler(chance, 3)}"
    )
    return files.front_matter(fields, body)


def _contract(it: Contract, number: int) -> str:
    chance = random.Random(it.party)
    fee, notice = f"{it.monthly_fee:,}", NUMBERS[it.notice_months]
    months = "month" if it.notice_months == 1 else "months"
    renewal = (
        "It is extended by a further year unless one of the parties objects."
        if it.renews
        else "There is no automatic extension."
    )
    forms = (
        f"AGREEMENT\n\nBrightwater Outfitters and {it.party} agree on {it.subject}. The agreement "
        f"takes effect on {long_date(it.start)} and runs until {long_date(it.end)}. {renewal}\n\n"
        f"Brightwater pays {fee} pounds a month. Either side may end the agreement with {notice} "
        f"{months}' notice.\n\n{filler(chance, 4)}\n\nThe law of {it.law} applies.",
        f"{it.party}\n{'=' * len(it.party)}\n\nThis contract concerns {it.subject}.\n\n"
        f"{filler(chance, 3)} A charge of £{fee} per month falls due on the first working day. "
        f"The term began on {american_date(it.start)}; it expires on {american_date(it.end)}. "
        f"{renewal} To leave earlier, a party gives {it.notice_months} {months} notice in writing."
        f"\n\nDisputes are settled under the law of {it.law}.",
        f"Between Brightwater Outfitters (the Customer) and {it.party} (the Supplier).\n\n"
        f"1. The Supplier provides {it.subject}.\n2. {filler(chance, 2)}\n"
        f"3. In return the Customer transfers GBP {fee} every month.\n"
        f"4. Signed for the time from {it.start:%d/%m/%Y}. Last day of the contract: "
        f"{it.end:%d/%m/%Y}. {renewal}\n5. Period of notice: {notice} {months}.\n"
        f"6. Governing law: {it.law}.",
        f"Dear partners at {it.party},\n\nwe are glad to confirm what we agreed about "
        f"{it.subject}. You start on {long_date(it.start)}, and our cooperation comes to its end "
        f"on {long_date(it.end)}. {renewal} You will receive {fee} pounds monthly. Whoever wants "
        f"out tells the other {notice} {months} ahead.\n\n{filler(chance, 4)}\n\nThis letter is "
        f"subject to the law of {it.law}.\n\nBrightwater Outfitters",
    )
    return forms[number % len(forms)]


def _mails() -> Files:
    maud, amara = "maud.okonjo@brightwater.example", "amara.bell@brightwater.example"
    everyone = "all@brightwater.example"
    items = (
        (
            maud,
            everyone,
            "Year-end closing",
            date(2025, 11, 28),
            "Please hand in all receipts by 12 December. Late ones go into next year.",
        ),
        (
            amara,
            everyone,
            "Stocktaking",
            date(2025, 12, 1),
            "We count the stock on 6 December. The gate stays closed that day. Bring warm clothes.",
        ),
        (
            "rhys.penhallow@brightwater.example",
            everyone,
            "Plan for the next big outage",
            date(2025, 10, 6),
            "Leila Haddad has written the incident communication plan. Ask her for a copy. "
            "It replaces the phone chain.",
        ),
        (
            "solveig.brekke@brightwater.example",
            everyone,
            "Prototype of the Ember stove",
            date(2025, 9, 2),
            "Nora Fjeld sewed the bag and Henrik Dahl found the steel.",
        ),
        (
            amara,
            "declan.ashby@brightwater.example",
            "Forklift",
            date(2025, 8, 19),
            "The new forklift was bought from Rutland Trucks. Cormac Doyle is its keeper.",
        ),
    )
    return {
        f"mail/{when:%Y-%m-%d} {subject}.eml": files.mail(sender, to, subject, when, body)
        for sender, to, subject, when, body in items
    }


def _distractors() -> Files:
    texts = {
        "templates/contract-template.txt": "TEMPLATE\n\nBrightwater Outfitters and [PARTY] "
        "agree on "
        "[SUBJECT]. The agreement runs until [DATE]. Fee: [AMOUNT] a month.",
        "misc/incident-drill.txt": "In the drill of November everybody pretended that the web shop "
        "was down. It was not. No customer noticed anything.",
        "misc/canteen-menu.txt": "Monday: leek soup. Tuesday: lasagne. Wednesday: dal.",
        "misc/running-club.txt": "The running club meets at 6 pm. Shoes are not reimbursed.",
        "misc/glossary.txt": "Guy rope: a rope that holds a tent. Denier: the weight of a thread.",
        "misc/former-suppliers.txt": "Until 2018 lunches came from Birchwood Foods. That "
        "contract is "
        "long over. Nothing is owed.",
    }
    notes = {
        f"misc/note-{number:02}.txt": filler(random.Random(f"brightwater {number}"), 8)
        for number in range(1, 7)
    }
    return {name: files.text(body) for name, body in {**texts, **notes}.items()}
