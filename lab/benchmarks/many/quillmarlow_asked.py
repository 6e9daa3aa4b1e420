"""Questions on the folder of Quill & Marlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from statistics import mean

from many.asking import Asking, extreme
from many.prose import date_forms
from many.question import FIELDS, PROSE, TABLE, Forms, Question
from many.quillmarlow import (
    BUILDINGS,
    INSPECTIONS,
    INSPECTORS,
    LEASES,
    LETTERS,
    NAME,
    PAYMENTS,
    REPORTS,
    TEAM,
    UNITS,
    VENDORS,
    Inspection,
    Lease,
    Letter,
    Unit,
    Vendor,
)

_OF_UNIT = {u.code: u for u in UNITS}
_OF_BUILDING = {b.name: b for b in BUILDINGS}


def questions() -> list[Question]:
    """Return the questions on the folder."""
    ask = Asking(NAME)
    for part in (
        _rents,
        _payments,
        _records,
        _inspections,
        _faults,
        _leases,
        _letters,
        _rules,
        _hops,
        _whole,
    ):
        part(ask)
    return ask.questions


def _units(some: Iterable[Unit]) -> list[Forms]:
    return [(u.tenant, u.code) for u in some]


def _rents(ask: Asking) -> None:
    ask.basis = TABLE
    every = _units(UNITS)
    ask.list(
        "Which tenants live in Larch Tower?",
        _units(u for u in UNITS if u.building == "Larch Tower"),
        every,
    )
    ask.list(
        "Whose tenancy runs out before the end of June 2026?",
        _units(u for u in UNITS if u.until < date(2026, 7, 1)),
        every,
    )
    ask.count(
        "How many flats cost more than 1,200 pounds a month?", sum(u.rent > 1200 for u in UNITS)
    )
    ask.count(
        "How many units of Mill House or Canal Row have a tenancy until 2028?",
        sum(u.building in ("Mill House", "Canal Row") and u.until.year == 2028 for u in UNITS),
    )
    ask.total(
        "What is the total monthly rent of Abbey Mews?",
        sum(u.rent for u in UNITS if u.building == "Abbey Mews"),
    )
    ask.total("what is the average rent over all units?", mean(u.rent for u in UNITS), rounded=True)
    ask.most(
        "Who pays the lowest monthly rent?",
        _units([extreme(UNITS, lambda u: u.rent, least=True)])[0],
        every,
    )
    ask.exists("Does any tenant pay more than 2,000 pounds a month?", False)
    ask.lookup(
        "Which unit does Mrs Onslow rent?", next(u.code for u in UNITS if u.tenant == "Mrs Onslow")
    )
    one, other = UNITS[2], UNITS[15]
    ask.compare(
        f"Who pays more rent, {one.tenant} or {other.tenant}?",
        (extreme((one, other), lambda u: u.rent).tenant,),
        universe=[(one.tenant,), (other.tenant,)],
    )


def _payments(ask: Asking) -> None:
    ask.basis = TABLE
    ask.total(
        "How much rent came in in the second quarter of 2025?",
        sum(p.amount for p in PAYMENTS if 4 <= p.day.month <= 6),
    )
    ask.total("How much was paid in cash?", sum(p.amount for p in PAYMENTS if p.method == "cash"))
    ask.total(
        "What is the smallest payment that we received from any unit?",
        min(p.amount for p in PAYMENTS),
        typos=True,
    )
    ask.count("How many payments were received by card?", sum(p.method == "card" for p in PAYMENTS))
    ask.count(
        "Wie viele Zahlungen kamen im März nach dem Zehnten an?",
        sum(p.day.month == 3 and p.day.day > 10 for p in PAYMENTS),
        german=True,
    )
    paid = {p.unit for p in PAYMENTS if p.day.month == 5}
    ask.list(
        "Which units did not pay anything in May?",
        [(u.code, u.tenant) for u in UNITS if u.code not in paid],
        [(u.code, u.tenant) for u in UNITS],
        typos=True,
    )


def _firms(some: Iterable[Vendor]) -> list[Forms]:
    return [(v.firm,) for v in some]


def _records(ask: Asking) -> None:
    ask.basis = FIELDS
    ask.list(
        "Which electricians and plumbers do we work with?",
        _firms(v for v in VENDORS if v.trade in ("electrician", "plumber")),
        _firms(VENDORS),
    )
    ask.list(
        "Which of our craftspeople have no insurance beyond 2025?",
        _firms(v for v in VENDORS if v.insured.year <= 2025),
        _firms(VENDORS),
    )
    ask.list(
        "Welche Gebäude wurden vor 1970 gebaut?",
        [(b.name,) for b in BUILDINGS if b.built < 1970],
        [(b.name,) for b in BUILDINGS],
        german=True,
    )
    ask.count(
        "How many buildings does Stan Pickering look after?",
        sum(b.caretaker == "Stan Pickering" for b in BUILDINGS),
    )
    ask.total("What is the highest hourly rate of any craftsperson?", max(v.rate for v in VENDORS))
    ask.most(
        "Which building is the oldest?",
        (extreme(BUILDINGS, lambda b: b.built, least=True).name,),
        [(b.name,) for b in BUILDINGS],
    )
    ask.exists("Do we have a building in Leeds?", False)
    ask.exists("is there a locksmith on our list", True, [("Lock Stock",)])
    ask.lookup("How many storeys does Larch Tower have?", "11", scopes=("lookup", "count"))
    ask.lookup("What is the hourly rate of Voltfair?", *_rate("Voltfair"), typos=True)
    one, other = "Hobday & Sons", "Slate & Ridge"
    rates = {v.firm: v.rate for v in VENDORS}
    ask.compare(
        f"Which roofer is cheaper, {one} or {other}?",
        (extreme((one, other), lambda firm: rates[firm], least=True),),
        universe=[(one,), (other,)],
    )


def _rate(firm: str) -> Forms:
    rate = next(v.rate for v in VENDORS if v.firm == firm)
    return (f"{rate:.2f}", f"{rate:g}")


def _numbers(some: Iterable[Inspection]) -> list[Forms]:
    return [(str(i.number),) for i in some]


def _inspections(ask: Asking) -> None:
    ask.basis = FIELDS
    every = _numbers(INSPECTIONS)
    ask.list(
        "Which inspections of Signal Yard or Mill House failed? Give their numbers.",
        _numbers(
            i
            for i in INSPECTIONS
            if i.building in ("Signal Yard", "Mill House") and i.result == "failed"
        ),
        every,
    )
    ask.count(
        "How many inspections did Ruth Ellwood do?",
        sum(i.inspector == "Ruth Ellwood" for i in INSPECTIONS),
    )
    ask.count(
        "How many inspections did not pass between April and June 2025?",
        sum(i.result == "failed" and 4 <= i.day.month <= 6 for i in INSPECTIONS),
        typos=True,
    )
    ask.total(
        "How many defects were found in all inspections together?",
        sum(i.defects for i in INSPECTIONS),
        scopes=("aggregate", "count"),
    )
    ask.total(
        "average number of defects per failed inspection",
        mean(i.defects for i in INSPECTIONS if i.result == "failed"),
        rounded=True,
    )
    done = Counter(i.inspector for i in INSPECTIONS)
    ask.most(
        "Which inspector did the most inspections?",
        (extreme(done.items(), lambda p: p[1])[0],),
        [(name,) for name in INSPECTORS],
    )
    ask.exists(
        "Was every inspection of Abbey Mews passed?",
        all(i.result == "passed" for i in INSPECTIONS if i.building == "Abbey Mews"),
    )
    first = INSPECTIONS[0]
    ask.lookup(f"When was inspection {first.number}?", *date_forms(first.day))


def _faults(ask: Asking) -> None:
    ask.basis = PROSE
    every = _numbers(INSPECTIONS)
    ask.list(
        "In which inspections was something wrong with a gutter? Numbers please.",
        _numbers(i for i in INSPECTIONS if i.fault == "gutter"),
        every,
    )
    ask.count("How many inspections found damp?", sum(i.fault == "damp" for i in INSPECTIONS))


def _shops(some: Iterable[Lease]) -> list[Forms]:
    return [
        (x.tenant, x.tenant.lower().replace(" & ", "_").replace(" ", "_").replace("'", ""))
        for x in some
    ]


def _leases(ask: Asking) -> None:
    ask.basis = PROSE
    every = _shops(LEASES)
    ask.list(
        "Which shop leases end in 2027?", _shops(x for x in LEASES if x.end.year == 2027), every
    )
    ask.list("Which shops are allowed to sublet?", _shops(x for x in LEASES if x.sublet), every)
    ask.count(
        "How many shops pay more than 25,000 pounds a year?", sum(x.annual > 25_000 for x in LEASES)
    )
    ask.count(
        "In how many shop leases is the notice shorter than six months?",
        sum(x.notice < 6 for x in LEASES),
        typos=True,
    )
    ask.total("What do all shops together pay us in a year?", sum(x.annual for x in LEASES))
    ask.total("Sum of all deposits that shops have paid?", sum(x.deposit for x in LEASES))
    ask.total(
        "What is the average yearly rent of the shops whose lease ends in 2026 or earlier?",
        mean(x.annual for x in LEASES if x.end.year <= 2026),
        rounded=True,
    )
    ask.most(
        "Which shop paid the largest deposit?",
        _shops([extreme(LEASES, lambda x: x.deposit)])[0],
        every,
    )
    ask.exists("Is there a shop lease that runs beyond 2035?", False)
    by_name = {x.tenant: x for x in LEASES}
    ask.lookup(
        "When does the lease of Inkwell Books end?", *date_forms(by_name["Inkwell Books"].end)
    )
    ask.lookup(
        "Wie hoch ist die Kaution von Fettle Gym?",
        f"{by_name['Fettle Gym'].deposit:,}",
        f"{by_name['Fettle Gym'].deposit:,}".replace(",", "."),
        german=True,
    )
    one, other = by_name["Pask Bicycles"], by_name["Sparrow Toys"]
    ask.compare(
        "Compare the yearly rents of Pask Bicycles and Sparrow Toys.",
        (f"{one.annual:,}",),
        (f"{other.annual:,}",),
    )


def _senders(some: Iterable[Letter]) -> list[Forms]:
    return [(x.tenant, x.unit) for x in some]


def _letters(ask: Asking) -> None:
    ask.basis = PROSE
    every = _units(UNITS)
    ask.list(
        "Which tenants wrote to us because of the heating?",
        _senders(x for x in LETTERS if x.topic == "heating"),
        every,
    )
    ask.list(
        "Who complained about noise in 2025?",
        _senders(x for x in LETTERS if x.topic == "noise"),
        every,
        typos=True,
    )
    ask.count(
        "How many letters are about a leak or about mould?",
        sum(x.topic in ("leak", "mould") for x in LETTERS),
    )
    ask.count(
        "How many mails from tenants arrived in the first quarter of 2025?",
        sum(x.day < date(2025, 4, 1) for x in LETTERS),
        basis=FIELDS,
    )
    ask.exists(
        "Did any tenant of Signal Yard report mould?",
        any(x.topic == "mould" and _OF_UNIT[x.unit].building == "Signal Yard" for x in LETTERS),
        _senders(x for x in LETTERS if x.topic == "mould" and x.unit.startswith("SY")),
    )
    ask.exists("Has a tenant ever complained about rats?", False)
    ask.lookup("What did Mr Venn write about?", *_wording("Mr Venn"))


def _wording(tenant: str) -> Forms:
    words = {
        "heating": ("heating", "radiators", "cold", "boiler", "warm water"),
        "noise": ("noise", "drums", "building site"),
        "leak": ("leak", "water", "pipe"),
        "mould": ("mould", "spots"),
        "praise": ("bicycle shed", "thank", "caretaker"),
    }
    return words[next(x.topic for x in LETTERS if x.tenant == tenant)]


def _rules(ask: Asking) -> None:
    ask.basis = FIELDS
    ask.latest("When do quiet hours begin now?", "22:00", "10 pm", "10pm", stale=("23:00", "22:30"))
    ask.latest("How many dogs per flat are allowed at present?", "two", stale=("one",))
    ask.latest(
        "How many weeks' rent is the deposit under the newest guide?", "five", stale=("six",)
    )
    ask.latest("What does a parking space cost per month?", "65", stale=("40",), basis=PROSE)
    ask.latest(
        "Wo sollen Kinderwagen nach der geltenden Hausordnung stehen?",
        "shed",
        "Schuppen",
        stale=("hall", "cellar", "Keller", "Flur"),
        german=True,
    )

    ask.latest("Were dogs allowed in 2018?", "not allowed", "no", stale=("one dog", "two dogs"))


def _hops(ask: Asking) -> None:
    ask.basis = PROSE
    ask.two_hops(
        "What is the telephone number of whoever leads the fire drill in Larch Tower?", "01904 633"
    )
    ask.two_hops(
        "Who is the superior of the person who lost the master key of Mill House?", "Ruth Ellwood"
    )
    ask.two_hops(
        "Which building does the winner of the prize for the finest balcony live in?",
        next(u.building for u in UNITS if u.tenant == "Mrs Kettle"),
    )
    lifts = next(v for v in VENDORS if v.firm == "Ferrant Lifts")
    ask.two_hops(
        "What is the hourly rate of the firm that services the lift of Abbey Mews?",
        f"{lifts.rate:.2f}",
        f"{lifts.rate:g}",
        typos=True,
    )
    ask.two_hops(
        "Whom does the caretaker of Signal Yard report to?",
        TEAM[_OF_BUILDING["Signal Yard"].caretaker][1],
    )
    unit = next(u for u in UNITS if u.tenant == "Ms Quayle")
    ask.two_hops(
        "Who is the caretaker of the building that Ms Quayle lives in?",
        _OF_BUILDING[unit.building].caretaker,
    )


def _whole(ask: Asking) -> None:
    ask.basis = PROSE
    facts = {name: [forms for _, forms in body[2]] for name, body in REPORTS.items()}
    ask.document(
        "Summarize the condition survey of Larch Tower.", facts["Larch Tower condition survey.pdf"]
    )
    ask.document(
        "Give an overview of the whole tenant survey.", facts["Tenant survey.pdf"], typos=True
    )
    ask.document(
        "What did we tell the owners in the annual letter?", facts["Annual letter to owners.md"]
    )
