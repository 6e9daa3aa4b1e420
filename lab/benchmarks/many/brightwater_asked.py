"""Questions on the folder of Brightwater Outfitters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from statistics import mean

from many.asking import Asking, extreme
from many.brightwater import (
    CONTRACTS,
    EXPENSES,
    INCIDENTS,
    NAME,
    PEOPLE,
    REPORTS,
    Contract,
    Incident,
    Person,
)
from many.prose import date_forms
from many.question import FIELDS, LATEST, LOOKUP, PROSE, TABLE, Forms, Question

_BY_NAME = {person.name: person for person in PEOPLE}


def questions() -> list[Question]:
    """Return the questions on the folder."""
    ask = Asking(NAME)
    for part in (_expenses, _people, _incidents, _causes, _contracts, _versions, _hops, _whole):
        part(ask)
    return ask.questions


def _sum(currency: str, category: str = "", months: Iterable[int] = range(1, 13)) -> float:
    return sum(
        x.amount
        for x in EXPENSES
        if x.currency == currency and category in ("", x.category) and x.day.month in months
    )


def _spent(currency: str) -> Counter[str]:
    spent: Counter[str] = Counter()
    for item in EXPENSES:
        if item.currency == currency:
            spent[item.employee] += round(item.amount * 100)
    return spent


def _expenses(ask: Asking) -> None:
    ask.basis = TABLE
    ask.total(
        "What did we spend on travel in Q2 2025, in pounds?", _sum("GBP", "Travel", (4, 5, 6))
    )
    ask.total("Total of all expenses in euros in 2025?", _sum("EUR"))
    ask.total(
        "How much did we spend on lodging in 2025, by currency?",
        *(_sum(currency, "Lodging") for currency in ("GBP", "EUR", "NOK")),
    )
    ask.total(
        "How much did the software expenses in September 2025 come to, only those in GBP?",
        _sum("GBP", "Software", (9,)),
        typos=True,
    )
    ask.total(
        "What is the average amount of a lodging expense paid in GBP?",
        mean(x.amount for x in EXPENSES if (x.currency, x.category) == ("GBP", "Lodging")),
        rounded=True,
    )
    ask.total(
        "What was the largest single expense in NOK?",
        max(x.amount for x in EXPENSES if x.currency == "NOK"),
    )
    everyone = [(name,) for name in _spent("GBP")]
    ask.most(
        "Which employee spent the most in pounds over the year?",
        (_spent("GBP").most_common(1)[0][0],),
        everyone,
    )
    ask.total(
        "Wie viel haben wir 2025 in Pfund für Training ausgegeben?",
        _sum("GBP", "Training"),
        german=True,
    )
    ask.count(
        "How many expenses were filed by Amara Bell?",
        sum(x.employee == "Amara Bell" for x in EXPENSES),
    )
    _more_expenses(ask)


def _more_expenses(ask: Asking) -> None:
    ask.basis = TABLE
    everyone = [(name,) for name in _spent("GBP")]
    ask.count(
        "How many expense rows are above 500 and in GBP?",
        sum(x.amount > 500 and x.currency == "GBP" for x in EXPENSES),
    )
    ask.count(
        "number of meals expenses in march",
        sum(x.category == "Meals" and x.day.month == 3 for x in EXPENSES),
    )
    norwegian = {x.employee for x in EXPENSES if x.currency == "NOK" and x.day.month >= 10}
    ask.list(
        "Who handed in expenses in Norwegian kroner between October and December?",
        [(name,) for name in sorted(norwegian)],
        everyone,
    )
    ask.exists("Did anyone claim a training expense of more than 2000 pounds?", False)
    pounds = [x for x in EXPENSES if x.currency == "GBP"]
    biggest = extreme(pounds, lambda x: x.amount)
    ask.lookup("Who filed the expense E0042?", EXPENSES[41].employee)
    ask.lookup(
        f"What was the amount of expense {biggest.id}?",
        f"{biggest.amount:,.2f}",
        f"{biggest.amount:.1f}",
    )


def _named(people: Iterable[Person]) -> list[Forms]:
    return [(person.name,) for person in people]


def _people(ask: Asking) -> None:
    ask.basis = FIELDS
    ask.list(
        "Who works in the Oslo office?",
        _named(p for p in PEOPLE if p.office == "Oslo"),
        _named(PEOPLE),
    )
    ask.list(
        "List everybody who started after 1 January 2023.",
        _named(p for p in PEOPLE if p.start > date(2023, 1, 1)),
        _named(PEOPLE),
        typos=True,
    )
    ask.list(
        "which people report to Declan Ashby but are not in Leeds",
        _named(p for p in PEOPLE if p.manager == "Declan Ashby" and p.office != "Leeds"),
        _named(p for p in PEOPLE if p.name != "Declan Ashby"),
    )
    ask.count(
        "How many people work in Cardiff or Leeds?",
        sum(p.office in ("Cardiff", "Leeds") for p in PEOPLE),
    )
    ask.count(
        "Wie viele Mitarbeiter berichten an Rhys Penhallow?",
        sum(p.manager == "Rhys Penhallow" for p in PEOPLE),
        german=True,
    )
    first = extreme(PEOPLE, lambda p: p.start, least=True)
    ask.most("Who has been with the company the longest?", (first.name,), _named(PEOPLE))
    ask.exists("Does anybody work in an office in Glasgow?", False)
    ask.exists("Is there a support agent in Leeds?", True, [("Anton Reiss",)], typos=True)
    ask.lookup("What is Nora Fjeld's role?", "Pattern Maker")
    ask.lookup("which office is yusra malik in", "Bristol")
    ask.lookup("When did Cormac Doyle start?", *date_forms(_BY_NAME["Cormac Doyle"].start))
    ask.compare(
        "Who started earlier, Tobias Wren or Leila Haddad?",
        ("Tobias Wren", "Tobias", "Wren"),
        universe=[("Tobias Wren", "Tobias", "Wren"), ("Leila Haddad", "Leila", "Haddad")],
    )
    ask.compare("Compare the offices of Henrik Dahl and Piotr Zielak.", ("Oslo",), ("Cardiff",))


def _ids(incidents: Iterable[Incident]) -> list[Forms]:
    return [(item.id, item.id.replace("-", " ")) for item in incidents]


def _incidents(ask: Asking) -> None:
    ask.basis = FIELDS
    every = _ids(INCIDENTS)
    ask.count("How many incidents did we have in May 2025?", _months(5))
    ask.count(
        "How many incidents of severity critical or high were there in the first half of 2025?",
        sum(i.severity in ("critical", "high") and i.day < date(2025, 7, 1) for i in INCIDENTS),
    )
    ask.list(
        "Which incidents did Tobias Wren write up?",
        _ids(i for i in INCIDENTS if i.author == "Tobias Wren"),
        every,
    )
    ask.list(
        "Give me all incidents that lasted longer than four hours.",
        _ids(i for i in INCIDENTS if i.minutes > 240),
        every,
    )
    ask.list(
        "Welche Vorfälle hatten den Schweregrad critical?",
        _ids(i for i in INCIDENTS if i.severity == "critical"),
        every,
        german=True,
    )
    ask.total(
        "How many minutes did all the incidents of August and September 2025 last together?",
        sum(i.minutes for i in INCIDENTS if i.day.year == 2025 and i.day.month in (8, 9)),
    )
    ask.total(
        "average duration in minutes of the incidents reported by Leila Haddad",
        mean(i.minutes for i in INCIDENTS if i.author == "Leila Haddad"),
        rounded=True,
        typos=True,
    )
    ask.exists(
        "Was any incident longer than six hours?",
        any(i.minutes > 360 for i in INCIDENTS),
        _ids(i for i in INCIDENTS if i.minutes > 360),
    )
    longest = extreme(INCIDENTS, lambda i: i.minutes)
    ask.most("Which incident took the longest?", _ids([longest])[0], every)


def _months(month: int) -> int:
    return sum((i.day.year, i.day.month) == (2025, month) for i in INCIDENTS)


def _causes(ask: Asking) -> None:
    ask.basis = PROSE
    every = _ids(INCIDENTS)
    ask.list(
        "Which incidents were caused by an expired certificate?",
        _ids(i for i in INCIDENTS if i.cause == "certificate"),
        every,
    )
    ask.count(
        "How many incidents were the fault of a provider and not our own?",
        sum(i.cause == "vendor" for i in INCIDENTS),
    )
    ask.count(
        "how many outages happend because a disk was full?",
        sum(i.cause == "disk" for i in INCIDENTS),
        typos=True,
    )
    ask.list(
        "Find the incidents that came from a wrong configuration.",
        _ids(i for i in INCIDENTS if i.cause == "config"),
        every,
    )


def _parties(contracts: Iterable[Contract]) -> list[Forms]:
    return [_party(item) for item in contracts]


def _party(item: Contract) -> Forms:
    short = item.party.removesuffix(" Ltd").removesuffix(" AS").removesuffix(" Services")
    slug = item.party.lower().replace(" & ", "-").replace(" ", "-")
    return (item.party, short, slug)


def _contracts(ask: Asking) -> None:
    ask.basis = PROSE
    every = _parties(CONTRACTS)
    ask.list(
        "Which contracts end in 2026?", _parties(c for c in CONTRACTS if c.end.year == 2026), every
    )
    ask.list(
        "With which suppliers do we have a notice period of six months or more?",
        _parties(c for c in CONTRACTS if c.notice_months >= 6),
        every,
    )
    ask.list(
        "Which agreements are under Norwegian law?",
        _parties(c for c in CONTRACTS if c.law == "Norway"),
        every,
        typos=True,
    )
    ask.count("How many contracts renew automatically?", sum(c.renews for c in CONTRACTS))
    ask.count(
        "Wie viele Verträge laufen 2027 aus?",
        sum(c.end.year == 2027 for c in CONTRACTS),
        german=True,
    )
    ask.count(
        "How many suppliers get more than 4000 pounds per month?",
        sum(c.monthly_fee > 4000 for c in CONTRACTS),
    )
    ask.total("What do all our contracts cost us per month?", sum(c.monthly_fee for c in CONTRACTS))
    ask.total(
        "What is the highest monthly fee in any of the contracts?",
        max(c.monthly_fee for c in CONTRACTS),
    )
    cheapest = extreme(CONTRACTS, lambda c: c.monthly_fee, least=True)
    ask.most("Which contract is the cheapest per month?", _party(cheapest), every)
    _more_contracts(ask)


def _more_contracts(ask: Asking) -> None:
    ask.basis = PROSE
    ask.total(
        "Sum of the monthly fees of contracts that end before 1 July 2026?",
        sum(c.monthly_fee for c in CONTRACTS if c.end < date(2026, 7, 1)),
    )
    ask.exists("Is any contract governed by the law of Sweden?", False)
    ask.exists(
        "Do we have contracts that can be ended with one month's notice?",
        any(c.notice_months == 1 for c in CONTRACTS),
        _parties(c for c in CONTRACTS if c.notice_months == 1),
    )
    by_name = {c.party: c for c in CONTRACTS}
    hosting, vans = by_name["Bluepeak Hosting"], by_name["Oakmere Leasing"]
    ask.lookup("When does the contract with Bluepeak Hosting end?", *date_forms(hosting.end))
    ask.lookup(
        "What is the monthly fee we pay to Oakmere Leasing?",
        f"{vans.monthly_fee:,}",
        typos=True,
    )
    freight, cleaning = by_name["Kestrel Freight Ltd"], by_name["Marram Cleaning Services"]
    dearer = extreme((freight, cleaning), lambda c: c.monthly_fee)
    ask.compare(
        "Which costs more a month, Kestrel Freight or Marram Cleaning?",
        _party(dearer),
        universe=[_party(freight), _party(cleaning)],
    )
    ask.compare(
        "Compare when the contracts with Corvid Security and Juniper Catering end.",
        date_forms(by_name["Corvid Security"].end),
        date_forms(by_name["Juniper Catering"].end),
    )


def _versions(ask: Asking) -> None:
    ask.basis = FIELDS
    ask.latest(
        "What is the maximum for a hotel night under the travel policy in force?",
        "149",
        stale=("110", "135"),
    )
    ask.latest(
        "What is the current daily allowance for meals when travelling?", "41", stale=("28", "34")
    )
    ask.latest(
        "How many days a week may staff currently work from home?",
        "three days",
        "3 days",
        "three",
        "3",
        stale=("two", "2", "five", "5"),
    )
    ask.latest(
        "Wohin gehen heute Anträge auf Homeoffice?",
        "head of department",
        "Abteilungsleiter",
        "Abteilungsleitung",
        stale=("office manager",),
        german=True,
    )
    ask.latest(
        "Within how many days can customers return unused goods today?",
        "60",
        stale=("30",),
        basis=PROSE,
    )
    ask.latest(
        "which version of the travel polcy is valid now?", "3.0", "rev3", stale=("1.0", "2.0")
    )

    ask.latest(
        "What was the limit for a hotel night in June 2023?",
        "110",
        stale=("135", "149"),
        scopes=(LATEST, LOOKUP),
    )


def _hops(ask: Asking) -> None:
    ask.basis = PROSE
    longest = extreme(INCIDENTS, lambda i: i.minutes)
    chief = _BY_NAME[longest.author].manager
    ask.two_hops(
        "Who is the manager of the author of the incident communication plan?", "Rhys Penhallow"
    )
    ask.two_hops("In which office does the keeper of the new forklift work?", "Leeds")
    ask.two_hops(
        f"What is the role of the manager of whoever wrote up {longest.id}?",
        _BY_NAME[chief].role,
    )
    ask.two_hops(
        "When did the person who sewed the bag of the Ember prototype join us?",
        *date_forms(_BY_NAME["Nora Fjeld"].start),
    )
    ask.two_hops(
        "Whom does the owner of the RouteMaster licence report to?", "Amara Bell", typos=True
    )
    ask.two_hops("Which office is the owner of the PatternCut licence in?", "Oslo")


def _whole(ask: Asking) -> None:
    ask.basis = PROSE
    facts = {name: [forms for _, forms in body[2]] for name, body in REPORTS.items()}
    ask.document("Summarise the season review 2025.", facts["season-review-2025.md"])
    ask.document(
        "What are the main points of the plan for the warehouse move?",
        facts["warehouse-move-plan.md"],
    )
    ask.document(
        "Fasse die Studie zur Reparaturwerkstatt zusammen.",
        facts["repair-workshop-study.md"],
        german=True,
    )
