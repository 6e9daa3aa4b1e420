"""The files of Quill & Marlow, written from its facts."""

from __future__ import annotations

import random

from many import files
from many.prose import (
    NUMBERS,
    american_date,
    filler,
    long_date,
    report,
)
from many.question import Files
from many.quillmarlow import (
    BUILDINGS,
    FAULTS,
    INSPECTIONS,
    LEASES,
    LETTERS,
    OLD_PARKING,
    PAYMENTS,
    REPORTS,
    RULES,
    TEAM,
    TOPICS,
    UNITS,
    VENDORS,
    Inspection,
    Lease,
    Letter,
)
from office_markup import blocks
from office_pages import pdf


def _list_tables() -> Files:
    return {
        "Rent roll.xlsx": files.workbook(
            {
                "Units": (
                    ("Unit", "Building", "Tenant", "Monthly rent", "Tenancy until"),
                    [(u.code, u.building, u.tenant, u.rent, u.until) for u in UNITS],
                ),
                "Payments 2025": (
                    ("Received", "Unit", "Amount", "Method"),
                    [(p.day, p.unit, p.amount, p.method) for p in PAYMENTS],
                ),
            }
        ),
        "buildings.json": files.json_file(
            [
                {
                    "building": b.name,
                    "town": b.town,
                    "year_built": b.built,
                    "storeys": b.storeys,
                    "caretaker": b.caretaker,
                }
                for b in BUILDINGS
            ]
        ),
        "craftspeople.jsonl": files.json_lines(
            [
                {
                    "firm": v.firm,
                    "trade": v.trade,
                    "contact": v.contact,
                    "hourly_rate_gbp": v.rate,
                    "insured_until": v.insured.isoformat(),
                }
                for v in VENDORS
            ]
        ),
        "Office/Who is who.html": files.page(
            "Who is who",
            "Please call during office hours.",
            {
                "The office": (
                    ("Name", "Job", "Reports to", "Telephone"),
                    [(name, *others) for name, others in TEAM.items()],
                )
            },
        ),
        "Office/cupboard/parking sign.txt": files.text(OLD_PARKING),
    }


def write() -> Files:
    """Write the files of the folder."""
    result = dict(_list_tables())
    for inspection in INSPECTIONS:
        name = f"Inspections/{inspection.number} {inspection.building}.md"
        result[name] = _inspection(inspection)
    for number, lease in enumerate(LEASES):
        slug = lease.tenant.lower().replace(" & ", "_").replace(" ", "_").replace("'", "")
        result[f"Shops/{slug}.txt"] = files.text(_lease(lease, number))
    for number, letter in enumerate(LETTERS, start=1):
        result[f"Inbox/{number:03}.eml"] = _letter(letter, number)
    for family, name, version, effective, body in RULES:
        fields = {"title": family, "version": version, "effective": effective}
        result[f"Rules/{name}"] = files.front_matter(fields, f"# {family}\n\n{body}")
    for name, (title, sections, facts) in REPORTS.items():
        chance = random.Random(name)
        body = report(chance, title, sections, [sentence for sentence, _ in facts])
        result[f"Reports/{name}"] = (
            pdf({"title": title, "date": "2025-10-20"}, blocks(body))
            if name.endswith(".pdf")
            else files.text(body)
        )
    return {**result, **_memos(), **_distractors()}


def _inspection(it: Inspection) -> bytes:
    chance = random.Random(it.number)
    fields = {
        "inspection": it.number,
        "building": it.building,
        "date": it.day,
        "inspector": it.inspector,
        "result": it.result,
        "defects": it.defects,
    }
    fault = chance.choice(FAULTS[it.fault])
    return files.front_matter(
        fields, f"# {it.building}\n\n{filler(chance, 2)} {fault} {filler(chance, 3)}"
    )


def _lease(it: Lease, number: int) -> str:
    chance = random.Random(it.tenant)
    sublet = (
        "The tenant may sublet with our consent." if it.sublet else "Subletting is not permitted."
    )
    rent, deposit, months = f"{it.annual:,}", f"{it.deposit:,}", NUMBERS[it.notice]
    forms = (
        f"LEASE\n\nQuill & Marlow let {it.premises} to {it.tenant}. The lease ends on "
        f"{long_date(it.end)}. The rent is {rent} pounds a year, in four instalments. {sublet}\n\n"
        f"{filler(chance, 4)}\n\nA deposit of {deposit} pounds was paid. The tenant can leave with "
        f"{months} months' notice.",
        f"{it.tenant}, terms\n\nThe tenant takes {it.premises}. {filler(chance, 3)} A yearly rent "
        f"of £{rent} was agreed, and £{deposit} as security. {sublet} With {it.notice} months of "
        f"warning the tenant may break the lease, which otherwise expires {american_date(it.end)}.",
        f"Dear {it.tenant},\n\nthank you for signing. You now hold {it.premises} until "
        f"{it.end:%d/%m/%Y}. {sublet} We have received your security of {deposit} pounds. Each "
        f"year you pay {rent} pounds. {filler(chance, 4)} If you wish to go, tell us {months} "
        f"months before.\n\nQuill & Marlow",
    )
    return forms[number % len(forms)]


def _letter(it: Letter, number: int) -> bytes:
    chance = random.Random(number)
    complaint = chance.choice(TOPICS[it.topic])
    address = f"{it.tenant.split()[-1].lower()}@post.example"
    subject = chance.choice(("Flat", "Hello", "From a tenant", f"Unit {it.unit}"))
    body = (
        f"Dear Quill & Marlow,\n\n{complaint} I live in {it.unit}. {filler(chance, 1)}\n\n"
        f"Kind regards\n{it.tenant}"
    )
    return files.mail(
        f"{it.tenant} <{address}>", "office@quillmarlow.example", subject, it.day, body
    )


def _memos() -> Files:
    texts = {
        "Office/memo fire drill.txt": "The fire drill in Larch Tower is led by Dev Kapoor. "
        "It starts at ten.",
        "Office/memo keys.txt": "The master key of Mill House was lost by Agnes Thorley. "
        "A new one is being cut.",
        "Office/memo roof garden.txt": "Mrs Kettle has won the prize for the finest balcony. "
        "The cake was baked by Percy Nwosu.",
        "Office/memo lift.txt": "The lift of Abbey Mews is serviced by Ferrant Lifts from now on.",
        "Office/memo accounts.txt": "Questions on rent arrears go to Fiona Sayle.",
    }
    return {name: files.text(body) for name, body in texts.items()}


def _distractors() -> Files:
    texts = {
        "Templates/lease form.txt": "Quill & Marlow let [PREMISES] to [TENANT]. The lease ends on "
        "[DATE]. The rent is [AMOUNT] pounds a year.",
        "Templates/reply to a complaint.txt": "Dear tenant, thank you for your letter about the "
        "heating. We will call you. [Choose: heating, noise, leak, mould.]",
        "Garden/bulbs.txt": "Plant tulips in October, and daffodils before them.",
        "Garden/compost.txt": "Do not add cooked food. Turn the heap twice a year.",
        "Garden/robin.txt": "The robin nests behind the meter cupboard. Do not open it in May.",
    }
    notes = {
        f"Garden/diary {number}.txt": filler(random.Random(f"quillmarlow {number}"), 9)
        for number in range(1, 6)
    }
    return {name: files.text(body) for name, body in {**texts, **notes}.items()}
