"""Questions on the folder of the Tallis Institute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from statistics import mean

from many.asking import Asking, extreme
from many.prose import date_forms
from many.question import FIELDS, PROSE, TABLE, Forms, Question
from many.tallis import (
    AGREEMENTS,
    GROUPS,
    MEETINGS,
    NAME,
    PURCHASES,
    SERVERS,
    STAFF,
    TICKETS,
    Agreement,
    Meeting,
    Member,
    Server,
)
from many.tallis_texts import REPORTS, STRATEGY

_BY_NAME = {m.name: m for m in STAFF}


def questions() -> list[Question]:
    """Return the questions on the folder."""
    ask = Asking(NAME)
    for part in (
        _orders,
        _tickets,
        _servers,
        _staff,
        _agreements,
        _meetings,
        _rules,
        _hops,
        _whole,
    ):
        part(ask)
    return ask.questions


def _orders(ask: Asking) -> None:
    ask.basis = TABLE
    dollars = [p for p in PURCHASES if p.currency == "USD"]
    pounds = [p for p in PURCHASES if p.currency == "GBP"]
    ask.total(
        "How much did we pay Okeanos in dollars?",
        sum(p.amount for p in dollars if p.vendor == "Okeanos GmbH"),
    )
    ask.total(
        "Total of the orders in pounds that the Plankton group placed in 2025?",
        sum(p.amount for p in pounds if p.group == "Plankton" and p.day.year == 2025),
    )
    ask.total(
        "What was the most expensive order in yen?",
        max(p.amount for p in PURCHASES if p.currency == "JPY"),
    )
    ask.total(
        "mean amount of orders for hydrophones in GBP",
        mean(p.amount for p in pounds if p.item == "hydrophone"),
        rounded=True,
    )
    spent: Counter[str] = Counter()
    for item in pounds:
        spent[item.group] += round(item.amount * 100)
    top = extreme(spent.items(), lambda pair: pair[1])[0]
    ask.most("Which group spent the most pounds on orders?", (top,), [(g,) for g in GROUPS])
    ask.count(
        "How many orders went to Hamada Optics?",
        sum(p.vendor == "Hamada Optics" for p in PURCHASES),
    )
    ask.count(
        "How many orders were placed in the fourth quarter of 2024?",
        sum(p.day < date(2025, 1, 1) for p in PURCHASES),
    )
    bought = {p.vendor for p in PURCHASES if p.item == "microscope lens"}
    ask.list(
        "From which vendors have we bought microscope lenses?",
        [(v,) for v in sorted(bought)],
        [(v,) for v in sorted({p.vendor for p in PURCHASES})],
        typos=True,
    )
    ask.exists("Has the Sediment group ever ordered a hydrophone?", False)
    ask.lookup("Who is the vendor of order PO-7042?", PURCHASES[41].vendor)


def _tickets(ask: Asking) -> None:
    ask.basis = FIELDS
    ask.count("How many tickets are still open?", sum(t.closed is None for t in TICKETS))
    ask.count(
        "How many P1 tickets were opened in 2025?",
        sum(t.priority == "P1" and t.opened.year == 2025 for t in TICKETS),
    )
    ask.count(
        "number of tickets about a jammed printer",
        sum(t.subject == "printer jammed" for t in TICKETS),
        typos=True,
    )
    ask.total(
        "How many hours did the network team spend on its tickets?",
        sum(t.hours for t in TICKETS if t.team == "network"),
    )
    ask.total(
        "Wie viele Stunden dauerte ein Ticket der Priorität P2 im Durchschnitt?",
        mean(t.hours for t in TICKETS if t.priority == "P2"),
        rounded=True,
        german=True,
    )
    ask.list(
        "List the open P1 tickets.",
        [(str(t.number),) for t in TICKETS if t.closed is None and t.priority == "P1"],
        [(str(t.number),) for t in TICKETS],
    )
    hours = Counter(t.team for t in TICKETS if t.priority == "P1")
    top = extreme(hours.items(), lambda pair: pair[1])[0]
    ask.most("Which team got the most P1 tickets?", (top,), [(t,) for t in hours])
    ask.exists("Are there tickets of priority P4?", False)
    ask.lookup("Who requested ticket 4010?", TICKETS[9].requester)
    ask.lookup("what is ticket 4077 about", TICKETS[76].subject)


def _hosts(some: Iterable[Server]) -> list[Forms]:
    return [(s.host,) for s in some]


def _servers(ask: Asking) -> None:
    ask.basis = TABLE
    every = _hosts(SERVERS)
    ask.list(
        "Which servers run Windows?", _hosts(s for s in SERVERS if "Windows" in s.system), every
    )
    ask.list(
        "Which machines in the boat house have 64 GB of memory or more?",
        _hosts(s for s in SERVERS if s.place == "boat house" and s.memory >= 64),
        every,
    )
    ask.list(
        "Bei welchen Servern endet die Garantie 2026?",
        _hosts(s for s in SERVERS if s.warranty.year == 2026),
        every,
        german=True,
    )
    ask.count(
        "How many servers does Hugo Ferreira own?", sum(s.owner == "Hugo Ferreira" for s in SERVERS)
    )
    ask.total(
        "How much memory do all servers in the cellar have together, in GB?",
        sum(s.memory for s in SERVERS if s.place == "cellar"),
    )
    ask.exists("Is any server older than Debian 11, for instance on Debian 9?", False)
    ask.lookup(
        "What operating system does tiree run?",
        next(s.system for s in SERVERS if s.host == "tiree"),
    )
    one, other = SERVERS[0], SERVERS[5]
    ask.compare(
        "Which warranty lasts longer, the one of corryvreckan or the one of rum?",
        (extreme((one, other), lambda s: s.warranty).host,),
        universe=[(one.host,), (other.host,)],
    )


def _names(some: Iterable[Member]) -> list[Forms]:
    return [(m.name, m.name.lower().replace(" ", "-")) for m in some]


def _staff(ask: Asking) -> None:
    ask.basis = FIELDS
    every = _names(STAFF)
    ask.list(
        "Who in the institute speaks French?",
        _names(m for m in STAFF if "French" in m.languages),
        every,
    )
    ask.list(
        "Who is in the Plankton or the Acoustics group?",
        _names(m for m in STAFF if m.group in ("Plankton", "Acoustics")),
        every,
    )
    ask.count(
        "How many people joined between 2020 and 2022?",
        sum(2020 <= m.joined.year <= 2022 for m in STAFF),
    )
    ask.count(
        "How many people speak neither French nor German?",
        sum(not {"French", "German"} & set(m.languages) for m in STAFF),
    )
    ask.most("Who joined last?", _names([extreme(STAFF, lambda m: m.joined)])[0], every)
    ask.exists(
        "Does anyone at the institute speak Welsh?", True, [("Idris Vaughan", "idris-vaughan")]
    )
    ask.lookup("Which room is Priya Nair in?", "C306")
    ask.lookup("wer ist die Vorgesetzte von Tomás Rivas?", "Freya Lindqvist", german=True)
    ask.compare(
        "Who has been here longer: Lucie Bonnet or Priya Nair?",
        ("Lucie Bonnet", "Lucie"),
        universe=[("Lucie Bonnet", "Lucie"), ("Priya Nair", "Priya")],
    )


def _partners(some: Iterable[Agreement]) -> list[Forms]:
    return [(a.partner, a.partner.lower().replace(" ", "-")) for a in some]


def _agreements(ask: Asking) -> None:
    ask.basis = PROSE
    every = _partners(AGREEMENTS)
    ask.list(
        "Which data agreements end in 2027?",
        _partners(a for a in AGREEMENTS if a.ends.year == 2027),
        every,
    )
    ask.list(
        "With which partners in Ireland do we share data?",
        _partners(a for a in AGREEMENTS if a.country == "Ireland"),
        every,
    )
    ask.list(
        "Which partners do not let us publish without their consent?",
        _partners(a for a in AGREEMENTS if not a.publish),
        every,
        typos=True,
    )
    ask.count(
        "For how many agreements is Hugo Ferreira the contact?",
        sum(a.contact == "Hugo Ferreira" for a in AGREEMENTS),
    )
    ask.count(
        "How many agreements were signed before 2022?",
        sum(a.signed.year < 2022 for a in AGREEMENTS),
    )
    ask.total(
        "How many records may we use in all agreements taken together?",
        sum(a.records for a in AGREEMENTS),
    )
    ask.total(
        "What is the largest number of records in one agreement?",
        max(a.records for a in AGREEMENTS),
    )
    ask.total(
        "How many records do the French partners share with us in total?",
        sum(a.records for a in AGREEMENTS if a.country == "France"),
        typos=True,
    )
    _more_agreements(ask)


def _more_agreements(ask: Asking) -> None:
    ask.basis = PROSE
    every = _partners(AGREEMENTS)
    ask.most(
        "Which agreement ends last?", _partners([extreme(AGREEMENTS, lambda a: a.ends)])[0], every
    )
    ask.exists("Do we have a data agreement with a partner in Italy?", False)
    ask.exists(
        "Do any agreements end before 2026?",
        any(a.ends.year < 2026 for a in AGREEMENTS),
        _partners(a for a in AGREEMENTS if a.ends.year < 2026),
    )
    by_name = {a.partner: a for a in AGREEMENTS}
    ask.lookup(
        "Who is our contact for Shirakawa University?", by_name["Shirakawa University"].contact
    )
    ask.lookup(
        "When does the agreement with Baltic Watch end?", *date_forms(by_name["Baltic Watch"].ends)
    )
    one, other = by_name["Hafrun Research"], by_name["Skagen Observatory"]
    ask.compare(
        "Compare how many records Hafrun Research and Skagen Observatory provide.",
        (f"{one.records:,}",),
        (f"{other.records:,}",),
    )


def _days(some: Iterable[Meeting]) -> list[Forms]:
    return [(*date_forms(m.day), f"{m.day:%Y%m%d}") for m in some]


def _meetings(ask: Asking) -> None:
    ask.basis = PROSE
    ask.list(
        "At which steering meetings was Delphine Marchand missing?",
        _days(m for m in MEETINGS if m.missing == "Delphine Marchand"),
        _days(MEETINGS),
    )
    ask.count(
        "How many steering meetings took place in the library?",
        sum(m.place == "library" for m in MEETINGS),
    )
    ask.count(
        "How many requests did the steering committee turn down?",
        sum(not m.granted for m in MEETINGS),
    )
    ask.total(
        "How much money did the steering committee grant in 2025?",
        sum(m.sum for m in MEETINGS if m.granted and m.day.year == 2025),
    )
    granted = [m for m in MEETINGS if m.granted]
    ask.total("What was the largest sum granted in one meeting?", max(m.sum for m in granted))
    ask.exists(
        "Was money for solar panels granted?",
        next(m.granted for m in MEETINGS if m.topic == "solar panels"),
        scopes=("exists", "lookup"),
    )
    ask.lookup(
        "Who chaired the meeting on a visitor centre?",
        next(m.chair for m in MEETINGS if m.topic == "a visitor centre"),
    )


def _rules(ask: Asking) -> None:
    ask.basis = FIELDS
    ask.latest("How deep may we dive under the current rules?", "18", stale=("25", "30"))
    ask.latest(
        "Who keeps the dive logbook now?", "safety officer", stale=("skipper", "dive leader")
    )
    ask.latest("How long do raw data have to be kept, as of today?", "15", stale=("10",))
    ask.latest("From what amount do orders need quotes?", "5,000", stale=("2,000",), basis=PROSE)
    ask.latest(
        "Wie oft werden zurzeit Kopien der Daten gemacht?",
        "every hour",
        "hourly",
        "stündlich",
        "jede Stunde",
        stale=("every night", "jede Nacht", "nightly"),
        german=True,
    )

    ask.latest("How many people had to be in a dive team in 2023?", "three", stale=("two", "four"))


def _hops(ask: Asking) -> None:
    ask.basis = PROSE
    ask.two_hops("Which room is the keeper of the boat house keys in?", "C214")
    ask.two_hops("Who supervises the person who found the lost drifter buoy?", "Delphine Marchand")
    ask.two_hops("Which languages does the winner of the Rayleigh prize speak?", "German")
    ask.two_hops(
        "When did the scientist whom the BBC interviews about jellyfish join?",
        *date_forms(_BY_NAME["Anneli Saar"].joined),
        typos=True,
    )
    owner = next(s.owner for s in SERVERS if s.host == "jura")
    ask.two_hops("Which group does the owner of the server jura belong to?", _BY_NAME[owner].group)
    contact = next(a.contact for a in AGREEMENTS if a.partner == "Nordsjø Data")
    ask.two_hops("In which room can I find our contact for Nordsjø Data?", _BY_NAME[contact].room)


def _whole(ask: Asking) -> None:
    ask.basis = PROSE
    facts = {name: [forms for _, forms in body[2]] for name, body in REPORTS.items()}
    ask.document(
        "Please summarise the expedition report on Fair Isle.",
        facts["Expedition report Fair Isle.docx"],
    )
    ask.document(
        "what does the evaluation of the help desk say, in a few sentences?",
        facts["Evaluation of the help desk.docx"],
    )
    ask.document("Main points of the strategy to 2030?", [forms for _, forms in STRATEGY[2]])
