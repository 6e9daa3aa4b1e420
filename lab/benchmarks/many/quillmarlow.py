"""Quill & Marlow, an invented manager of houses: its facts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from many.prose import amount_of, day_of

NAME = "quillmarlow"


@dataclass(frozen=True, slots=True)
class Building:
    """A record of the buildings."""

    name: str
    town: str
    built: int
    storeys: int
    caretaker: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A row of the rent roll."""

    code: str
    building: str
    tenant: str
    rent: int
    until: date


@dataclass(frozen=True, slots=True)
class Payment:
    """A row of the second sheet of the rent roll."""

    day: date
    unit: str
    amount: float
    method: str


@dataclass(frozen=True, slots=True)
class Vendor:
    """A record of the craftspeople."""

    firm: str
    trade: str
    contact: str
    rate: float
    insured: date


@dataclass(frozen=True, slots=True)
class Inspection:
    """An inspection: front matter, except the ``fault``, which stands in its text."""

    number: int
    building: str
    day: date
    inspector: str
    result: str
    defects: int
    fault: str


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease of a shop; everything stands in sentences."""

    tenant: str
    premises: str
    end: date
    annual: int
    deposit: int
    notice: int
    sublet: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail of a tenant; everything stands in sentences."""

    tenant: str
    unit: str
    day: date
    topic: str


BUILDINGS = (
    Building("Harbour Court", "Whitby", 1968, 6, "Stan Pickering"),
    Building("Mill House", "Hebden", 1891, 4, "Olive Tranter"),
    Building("Larch Tower", "York", 1974, 11, "Stan Pickering"),
    Building("Canal Row", "Hebden", 2006, 3, "Olive Tranter"),
    Building("Abbey Mews", "York", 2015, 5, "Dev Kapoor"),
    Building("Signal Yard", "Selby", 1938, 2, "Gita Rowe"),
)
INSPECTORS = ("Ruth Ellwood", "Percy Nwosu", "Agnes Thorley")
TEAM = {
    # name: (job, superior, telephone)
    "Beatrix Marlow": ("partner", "", "01904 611"),
    "Edmund Quill": ("partner", "", "01904 612"),
    "Ruth Ellwood": ("surveyor", "Edmund Quill", "01904 621"),
    "Percy Nwosu": ("surveyor", "Edmund Quill", "01904 622"),
    "Agnes Thorley": ("trainee surveyor", "Ruth Ellwood", "01904 623"),
    "Stan Pickering": ("caretaker", "Beatrix Marlow", "01904 631"),
    "Olive Tranter": ("caretaker", "Beatrix Marlow", "01904 632"),
    "Dev Kapoor": ("caretaker", "Olive Tranter", "01904 633"),
    "Gita Rowe": ("caretaker", "Olive Tranter", "01904 634"),
    "Fiona Sayle": ("bookkeeper", "Beatrix Marlow", "01904 641"),
}
_TENANTS = (
    *("Ms Abara", "Mr Blyth", "Mrs Castellan", "Mr Dunmow", "Ms Eastgate", "Mr Fothergill"),
    *("Mrs Gully", "Mr Hext", "Ms Ingram", "Mr Jessop", "Mrs Kettle", "Mr Lomas", "Ms Mabbott"),
    *("Mr Norbury", "Mrs Onslow", "Mr Peverell", "Ms Quayle", "Mr Rudge", "Mrs Stroud"),
    *("Mr Tansley", "Ms Umfreville", "Mr Venn", "Mrs Wadham", "Mr Yarrow"),
)
_SHOPS = (
    "Thimble Haberdashery",
    "The Salted Crumb",
    "Pask Bicycles",
    "Inkwell Books",
    "Dr Sen Dentistry",
    "Old Rope Bar",
    "Verity Florist",
    "Mo's Barbers",
    "Kiln & Clay",
    "Sparrow Toys",
    "North Star Travel",
    "Bramble Deli",
    "Fettle Gym",
    "Lumley Opticians",
    "Cobalt Records",
    "Yew Tree Pharmacy",
    "Gilt Frames",
    "Pepperpot Kitchen",
)
FAULTS = {
    "damp": (
        "The cellar wall is damp up to knee height.",
        "Moisture was found behind the skirting.",
    ),
    "gutter": ("A gutter hangs loose on the north side.", "Rain runs over a blocked gutter."),
    "lighting": (
        "Two lamps in the stairwell do not work.",
        "The emergency light on the roof is out.",
    ),
    "lift": ("The lift stops a hand's breadth above the floor.", "The lift door closes too fast."),
    "none": ("Everything was in order.", "There was nothing to object to."),
}
TOPICS = {
    "heating": (
        "my radiators have been cold for a week.",
        "we are freezing, the heating does not come on in the evening.",
        "nothing in the flat gets warm, and the boiler only clicks.",
    ),
    "noise": (
        "the people above us play the drums until midnight.",
        "the building site next door wakes us at six.",
    ),
    "leak": (
        "water drips from the bathroom ceiling.",
        "the pipe below the sink has burst and the floor is wet.",
    ),
    "mould": (
        "black spots are growing behind the wardrobe.",
        "the corner of the bedroom is full of mould again.",
    ),
    "praise": (
        "I only want to thank you for the new bicycle shed.",
        "the caretaker helped me with my shopping, how kind.",
    ),
}
RULES = (
    (
        "House rules",
        "house-rules-a.md",
        "1",
        date(2017, 1, 1),
        "Quiet hours begin at 23:00. Dogs are not allowed. Prams may stand in the hall.",
    ),
    (
        "House rules",
        "house-rules-b.md",
        "2",
        date(2021, 9, 1),
        "Quiet hours begin at 22:30. One dog per flat is allowed. Prams belong in the cellar.",
    ),
    (
        "House rules",
        "house-rules-c.md",
        "3",
        date(2025, 7, 1),
        "Quiet hours begin at 22:00. Two dogs per flat are allowed. Prams belong in the shed.",
    ),
    (
        "Deposit guide",
        "deposits-2020.md",
        "2020",
        date(2020, 4, 1),
        "The deposit is six weeks' rent. It is paid back within 28 days.",
    ),
    (
        "Deposit guide",
        "deposits-2025.md",
        "2025",
        date(2025, 4, 1),
        "The deposit is five weeks' rent. It is paid back within 10 days.",
    ),
    (
        "Parking rules",
        "parking.md",
        "2",
        date(2024, 1, 1),
        "A parking space costs 65 pounds a month. Visitors may park for three hours.",
    ),
)
OLD_PARKING = (
    "Parking rules\n\nA parking space costs 40 pounds a month. Visitors may park for one hour. "
    "Please leave the gate shut."
)
REPORTS = {
    "Larch Tower condition survey.pdf": (
        "Condition survey of Larch Tower",
        ("Purpose", "Structure", "Services", "Costs"),
        (
            ("The survey was made by Ashdown Engineers.", ("Ashdown",)),
            (
                "The concrete of the balconies is cracked on floors 3 to 8.",
                ("balconies", "balcony"),
            ),
            ("The roof membrane has about five years left.", ("five years", "5 years")),
            ("The cladding is not of a combustible kind.", ("cladding",)),
            ("The water pipes contain lead in 12 flats.", ("lead",)),
            ("Repairs cost 1.86 million pounds.", ("1.86 million", "1.86m")),
            ("Scaffolding will stand for 34 weeks.", ("34 weeks",)),
            ("Work should start before the winter of 2026.", ("winter", "2026")),
        ),
    ),
    "Tenant survey.pdf": (
        "Tenant survey",
        ("Method", "Answers", "Consequences"),
        (
            ("Answers came from 168 households.", ("168",)),
            ("72 percent would recommend us.", ("72 percent", "72%", "72 %")),
            ("Slow repairs are the main reason to complain.", ("repairs",)),
            ("Tenants of Canal Row are the most content.", ("Canal Row",)),
            ("An app named Latchkey will report faults.", ("Latchkey",)),
            ("A second caretaker is hired for York.", ("caretaker",)),
        ),
    ),
    "Annual letter to owners.md": (
        "Annual letter to the owners",
        ("The year", "Money", "Plans"),
        (
            ("Seven flats were renovated.", ("renovated", "Seven flats", "7 flats")),
            ("Rental income grew to 2.31 million pounds.", ("2.31 million", "2.31m")),
            ("Vacancy stood at 2.9 percent.", ("2.9 percent", "2.9%", "2.9 %")),
            ("The insurance was moved to Bulwark Mutual.", ("Bulwark",)),
            ("Signal Yard receives a heat pump.", ("heat pump",)),
            ("The reserve fund holds 415,000 pounds.", ("415,000",)),
        ),
    ),
}


def _units() -> Iterator[Unit]:
    chance = random.Random("quillmarlow units")
    for number, tenant in enumerate(_TENANTS):
        building = BUILDINGS[number % len(BUILDINGS)].name
        code = f"{''.join(word[0] for word in building.split())}-{10 + number // len(BUILDINGS)}"
        until = date(chance.choice((2026, 2026, 2027, 2028)), chance.choice((3, 6, 9, 12)), 1)
        yield Unit(code, building, tenant, 5 * chance.randint(112, 290), until)


def _payments() -> Iterator[Payment]:
    chance = random.Random("quillmarlow payments")
    for month in range(1, 8):
        for unit in UNITS:
            if chance.random() < 0.06:
                continue
            late = chance.random() < 0.2
            yield Payment(
                date(2025, month, chance.randint(6, 26) if late else chance.randint(1, 5)),
                unit.code,
                unit.rent - (amount_of(chance, 20, 180) if chance.random() < 0.1 else 0.0),
                chance.choices(("bank transfer", "card", "cash"), (6, 3, 1))[0],
            )


def _vendors() -> Iterator[Vendor]:
    chance = random.Random("quillmarlow vendors")
    firms = (
        ("Copperline", "plumber"),
        ("Hobday & Sons", "roofer"),
        ("Voltfair", "electrician"),
        ("Dry Dock", "damp proofing"),
        ("Ferrant Lifts", "lift engineer"),
        ("Penny Glass", "glazier"),
        ("Brushstroke", "painter"),
        ("Warm Hearth", "heating engineer"),
        ("Aqua Ned", "plumber"),
        ("Sparks of Selby", "electrician"),
        ("Slate & Ridge", "roofer"),
        ("Lock Stock", "locksmith"),
    )
    for firm, trade in firms:
        contact = (
            f"{chance.choice('ABCDEGHJKLM')}. {chance.choice(('Frost', 'Baines', 'Pike', 'Holt'))}"
        )
        insured = day_of(chance, date(2025, 3, 1), date(2027, 9, 1))
        yield Vendor(firm, trade, contact, chance.randint(56, 190) / 2, insured)


def _inspections() -> Iterator[Inspection]:
    chance = random.Random("quillmarlow inspections")
    day = date(2025, 1, 15)
    for number in range(301, 325):
        fault = chance.choice(tuple(FAULTS))
        result = "passed" if fault == "none" else chance.choice(("passed", "failed", "failed"))
        yield Inspection(
            number,
            chance.choice(BUILDINGS).name,
            day,
            chance.choice(INSPECTORS),
            result,
            0 if fault == "none" else chance.randint(1, 9),
            fault,
        )
        day += timedelta(days=chance.randint(3, 18))


def _leases() -> Iterator[Lease]:
    chance = random.Random("quillmarlow leases")
    for number, tenant in enumerate(_SHOPS):
        end = date(
            chance.choice((2025, 2026, 2027, 2027, 2029, 2031)), chance.choice((3, 6, 9)), 24
        )
        premises = f"the shop at {number + 1} {chance.choice(('Bridge Street', 'Cloth Lane'))}"
        annual = 500 * chance.randint(14, 96)
        notice, sublet = chance.choice((2, 3, 6, 6, 12)), chance.random() < 0.35
        yield Lease(tenant, premises, end, annual, 250 * chance.randint(4, 40), notice, sublet)


def _letters() -> Iterator[Letter]:
    chance = random.Random("quillmarlow letters")
    day = date(2025, 1, 7)
    for number in range(24):
        unit = UNITS[(number * 7) % len(UNITS)]
        yield Letter(unit.tenant, unit.code, day, chance.choice(tuple(TOPICS)))
        day += timedelta(days=chance.randint(5, 20))


UNITS = tuple(_units())
PAYMENTS = tuple(_payments())
VENDORS = tuple(_vendors())
INSPECTIONS = tuple(_inspections())
LEASES = tuple(_leases())
LETTERS = tuple(_letters())
