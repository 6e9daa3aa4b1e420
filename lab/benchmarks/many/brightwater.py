"""Brightwater Outfitters, an invented maker of tents: its facts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from many.prose import amount_of, day_of

NAME = "brightwater"


@dataclass(frozen=True, slots=True)
class Person:
    """An employee."""

    name: str
    role: str
    office: str
    manager: str
    start: date

    @property
    def email(self) -> str:
        """The address."""
        return f"{self.name.lower().replace(' ', '.')}@brightwater.example"


@dataclass(frozen=True, slots=True)
class Expense:
    """A row of the expenses."""

    id: str
    day: date
    employee: str
    category: str
    currency: str
    amount: float
    note: str


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident; ``cause`` stands in its text only."""

    id: str
    title: str
    day: date
    severity: str
    author: str
    minutes: int
    service: str
    cause: str


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract; everything stands in sentences."""

    party: str
    subject: str
    start: date
    end: date
    monthly_fee: int
    notice_months: int
    renews: bool
    law: str


PEOPLE = (
    Person("Imogen Farrow", "Managing Director", "Bristol", "", date(2014, 3, 3)),
    Person("Declan Ashby", "Head of Operations", "Bristol", "Imogen Farrow", date(2016, 9, 1)),
    Person("Solveig Brekke", "Head of Design", "Oslo", "Imogen Farrow", date(2018, 1, 15)),
    Person("Rhys Penhallow", "Head of IT", "Cardiff", "Imogen Farrow", date(2017, 5, 2)),
    Person("Maud Okonjo", "Finance Lead", "Bristol", "Imogen Farrow", date(2019, 11, 4)),
    Person(
        "Tobias Wren", "Site Reliability Engineer", "Cardiff", "Rhys Penhallow", date(2021, 2, 8)
    ),
    Person(
        "Leila Haddad", "Site Reliability Engineer", "Leeds", "Rhys Penhallow", date(2022, 6, 13)
    ),
    Person("Piotr Zielak", "Developer", "Cardiff", "Rhys Penhallow", date(2023, 4, 3)),
    Person("Nora Fjeld", "Pattern Maker", "Oslo", "Solveig Brekke", date(2020, 8, 17)),
    Person("Henrik Dahl", "Material Buyer", "Oslo", "Declan Ashby", date(2023, 10, 2)),
    Person("Amara Bell", "Warehouse Manager", "Leeds", "Declan Ashby", date(2015, 7, 20)),
    Person("Cormac Doyle", "Logistics Planner", "Leeds", "Amara Bell", date(2024, 1, 8)),
    Person("Yusra Malik", "Accountant", "Bristol", "Maud Okonjo", date(2022, 9, 5)),
    Person("Gwen Trevor", "Support Agent", "Cardiff", "Declan Ashby", date(2024, 5, 20)),
    Person("Anton Reiss", "Support Agent", "Leeds", "Gwen Trevor", date(2025, 2, 3)),
)
CATEGORIES = ("Travel", "Lodging", "Meals", "Software", "Training", "Office supplies")
CAUSES = {
    "certificate": (
        "It turned out that a TLS certificate had expired over night.",
        "The root cause was an expired certificate that nobody had renewed.",
        "Clients refused the connection because the certificate was past its date.",
    ),
    "disk": (
        "The volume had run out of space, and the database stopped writing.",
        "We found the disk at 100 % after logs had grown without rotation.",
    ),
    "config": (
        "A wrong setting had been rolled out with the afternoon's configuration push.",
        "Someone had changed the load balancer's configuration by hand.",
    ),
    "vendor": (
        "The fault lay with our hosting provider, whose network was down.",
        "The payment provider had an outage of its own; there was nothing to do but wait.",
    ),
}
_SERVICES = ("web shop", "warehouse scanner", "mail", "payments", "design archive")
_PARTIES = (
    ("Kestrel Freight Ltd", "the carriage of pallets between Leeds and Oslo"),
    ("Marram Cleaning Services", "the cleaning of the Bristol office"),
    ("Halden Textil AS", "the supply of ripstop nylon"),
    ("Bluepeak Hosting", "the hosting of the web shop"),
    ("Corvid Security", "night guards at the Leeds warehouse"),
    ("Juniper Catering", "lunches in the Bristol canteen"),
    ("Oakmere Leasing", "four delivery vans"),
    ("Fenwick & Lowe", "legal advice"),
    ("Saltmarsh Print", "the printing of catalogues"),
    ("Nordlys Telecom", "telephone lines in Oslo"),
    ("Pemberton Lifts", "the maintenance of the goods lift"),
    ("Wexcombe Energy", "electricity for the Leeds warehouse"),
    ("Ardent Payroll", "the monthly payroll run"),
    ("Tillerman Insurance", "cover of goods in transit"),
    ("Quarry Lane Storage", "an overflow store in Bradford"),
    ("Mistral Analytics", "a dashboard of sales figures"),
    ("Goshawk Recycling", "the collection of textile waste"),
    ("Larkfield Nursery", "childcare places for staff"),
)
POLICIES = (
    # family, file, version, effective, text
    (
        "Travel policy",
        "travel-policy-2022.md",
        "1.0",
        date(2022, 2, 1),
        "Hotel nights are reimbursed up to 110 pounds. Flights need the approval of the "
        "line manager. "
        "The daily allowance for meals is 28 pounds.",
    ),
    (
        "Travel policy",
        "travel-policy-2024.md",
        "2.0",
        date(2024, 3, 1),
        "Hotel nights are reimbursed up to 135 pounds. Flights under five hours are booked "
        "in economy. "
        "The daily allowance for meals is 34 pounds.",
    ),
    (
        "Travel policy",
        "travel-policy-rev3.md",
        "3.0",
        date(2025, 9, 15),
        "Hotel nights are reimbursed up to 149 pounds. Trains are preferred below 600 kilometres. "
        "The daily allowance for meals is 41 pounds.",
    ),
    (
        "Remote work policy",
        "remote-work.md",
        "1",
        date(2021, 6, 1),
        "Staff may work from home two days a week. Requests go to the office manager.",
    ),
    (
        "Remote work policy",
        "remote-work-b.md",
        "2",
        date(2025, 1, 1),
        "Staff may work from home three days a week. Requests go to the head of department.",
    ),
    (
        "Remote work policy",
        "remote-work-next.md",
        "3",
        date(2031, 1, 1),
        "Staff may work from home five days a week. Requests are no longer needed.",
    ),
    (
        "Returns policy",
        "returns-policy.md",
        "4",
        date(2025, 4, 1),
        "Customers may return unused goods within 60 days. Refunds are paid within 7 days.",
    ),
)
OLD_RETURNS = (
    "Returns policy\n\nCustomers may return unused goods within 30 days. Refunds are paid within "
    "14 days. Keep the receipt.\n\n(Printed for the shop counter, spring 2020.)"
)
REPORTS = {
    "season-review-2025.md": (
        "Season review 2025",
        ("Sales", "Products", "Customers", "Outlook"),
        (
            ("The shop sold 18,420 tents in the season.", ("18,420",)),
            ("The best seller was the Skua two-person tent.", ("Skua",)),
            ("Returns fell to 3.7 percent of all orders.", ("3.7 percent", "3.7%")),
            ("A zip fault affected 640 pieces of the Gannet model.", ("Gannet", "640")),
            ("Scandinavia overtook Germany as the largest export market.", ("Scandinavia",)),
            ("The average order was worth 212 pounds.", ("212",)),
            ("For next year a stove named Ember is planned.", ("Ember",)),
            ("Prices will rise by 4 percent in March 2026.", ("4 percent", "4%")),
        ),
    ),
    "warehouse-move-plan.md": (
        "Plan for the move of the Leeds warehouse",
        ("Why we move", "Timetable", "Cost", "Risks"),
        (
            ("The lease of the present hall ends and will not be renewed.", ("lease",)),
            ("The new hall is in Wakefield.", ("Wakefield",)),
            ("It has 9,300 square metres.", ("9,300",)),
            ("The move takes place over 11 days in August 2026.", ("August 2026", "11 days")),
            ("The whole move is budgeted at 486,000 pounds.", ("486,000",)),
            ("Racking is supplied by Stalwart Systems.", ("Stalwart",)),
            ("The largest risk is a late fire inspection.", ("fire inspection",)),
        ),
    ),
    "repair-workshop-study.md": (
        "Study: a repair workshop of our own",
        ("Demand", "Costs", "Recommendation"),
        (
            ("Customers asked for 2,150 repairs last year.", ("2,150",)),
            ("Broken poles are the most frequent damage.", ("poles",)),
            ("Today repairs are sent to Taplow Repairs.", ("Taplow",)),
            ("A workshop would cost 74,500 pounds to set up.", ("74,500",)),
            ("It would pay for itself after 26 months.", ("26 months",)),
            ("The study recommends to open it in Cardiff.", ("Cardiff",)),
        ),
    ),
}
LICENCES = (
    # tool, owner, seats, renewal
    ("Figwork", "Solveig Brekke", 6, date(2026, 2, 1)),
    ("LedgerPro", "Maud Okonjo", 4, date(2026, 7, 1)),
    ("StackWatch", "Rhys Penhallow", 12, date(2026, 5, 15)),
    ("RouteMaster", "Cormac Doyle", 3, date(2027, 1, 10)),
    ("PatternCut", "Nora Fjeld", 2, date(2026, 11, 30)),
    ("HelpDesk One", "Gwen Trevor", 9, date(2026, 3, 20)),
)


def _expenses() -> Iterator[Expense]:
    chance = random.Random("brightwater expenses")
    names = [person.name for person in PEOPLE[1:]]
    bounds = {"Travel": (30, 900), "Lodging": (70, 420), "Meals": (8, 90)}
    bounds |= {"Software": (12, 600), "Training": (90, 1500), "Office supplies": (4, 160)}
    notes = {"Travel": ("train", "flight", "taxi", "ferry"), "Lodging": ("hotel",)}
    for number in range(1, 188):
        name, category = chance.choice(names), chance.choice(CATEGORIES)
        currency = chance.choices(("GBP", "EUR", "NOK"), (6, 2, 1))[0]
        low, high = bounds[category]
        factor = 12 if currency == "NOK" else 1
        yield Expense(
            f"E{number:04}",
            day_of(chance, date(2025, 1, 2), date(2025, 12, 20)),
            name,
            category,
            currency,
            amount_of(chance, low * factor, high * factor),
            chance.choice(notes.get(category, ("", "card", "see receipt"))),
        )


def _incidents() -> Iterator[Incident]:
    chance = random.Random("brightwater incidents")
    authors = ("Tobias Wren", "Leila Haddad", "Piotr Zielak", "Rhys Penhallow")
    what = ("unavailable", "slow for everyone", "rejecting logins", "losing orders", "offline")
    day = date(2025, 1, 9)
    for number in range(1, 27):
        service = chance.choice(_SERVICES)
        yield Incident(
            f"INC-{100 + number}",
            f"{service.capitalize()} {chance.choice(what)}",
            day,
            chance.choices(("critical", "high", "medium", "low"), (2, 4, 4, 3))[0],
            chance.choice(authors),
            5 * chance.randint(2, 60),
            service,
            chance.choice(tuple(CAUSES)),
        )
        day += timedelta(days=chance.randint(4, 20))


def _contracts() -> Iterator[Contract]:
    chance = random.Random("brightwater contracts")
    for party, subject in _PARTIES:
        start = date(chance.randint(2019, 2024), chance.choice((1, 4, 7, 10)), 1)
        end = date(chance.choice((2025, 2026, 2026, 2027, 2027, 2028)), chance.randint(1, 12), 28)
        fee = 10 * chance.randint(25, 620)
        notice = chance.choice((1, 2, 3, 3, 6, 12))
        renews, law = chance.random() < 0.5, chance.choice(("England", "England", "Norway"))
        yield Contract(party, subject, start, end, fee, notice, renews, law)


EXPENSES = tuple(_expenses())
INCIDENTS = tuple(_incidents())
CONTRACTS = tuple(_contracts())
