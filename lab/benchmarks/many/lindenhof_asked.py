"""Questions on the folder of Lindenhof Klinikservice, in German and English."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from statistics import mean

from many.asking import Asking, extreme
from many.lindenhof import (
    BELEGE,
    BERICHTE,
    GERAETE,
    KOLLEGEN,
    NAME,
    SITZUNGEN,
    STANDORTE,
    VERTRAEGE,
    Geraet,
    Kollege,
    Sitzung,
    Vertrag,
)
from many.prose import date_forms
from many.question import FIELDS, GERMAN, PLAIN, PROSE, TABLE, Forms, Question

_BY_NAME = {k.name: k for k in KOLLEGEN}


def questions() -> list[Question]:
    """Return the questions on the folder."""
    ask = Asking(NAME)
    for part in (
        _kosten,
        _personal,
        _geraete,
        _vertraege,
        _protokolle,
        _richtlinien,
        _hops,
        _alles,
    ):
        part(ask)
    return ask.questions


def _euro(art: str = "", months: Iterable[int] = range(1, 13)) -> float:
    return sum(
        b.betrag
        for b in BELEGE
        if b.waehrung == "EUR" and art in ("", b.art) and b.datum.month in months
    )


def _kosten(ask: Asking) -> None:
    ask.basis, ask.language = TABLE, GERMAN
    ask.total(
        "Wie viel Euro haben wir im dritten Quartal 2025 für Hotels ausgegeben?",
        _euro("Hotel", (7, 8, 9)),
    )
    spent: Counter[str] = Counter()
    for beleg in BELEGE:
        if beleg.waehrung == "EUR":
            spent[beleg.name] += round(beleg.betrag * 100)
    everyone = [(name,) for name in spent]
    top = extreme(spent.items(), lambda pair: pair[1])[0]
    ask.most("Wer hat 2025 die höchsten Reisekosten in Euro verursacht?", (top,), everyone)
    ask.count(
        "Wie viele Belege über Bahnfahrten gibt es von Februar bis April 2025?",
        sum(b.art == "Bahn" and 2 <= b.datum.month <= 4 for b in BELEGE),
    )
    parking = {b.name for b in BELEGE if b.art == "Parken" and b.datum.month == 11}
    ask.list(
        "Wer hat im November Parkgebühren abgerechnet?", [(n,) for n in sorted(parking)], everyone
    )
    ask.language = PLAIN
    ask.total(
        "What is the total of all travel expenses in Swiss francs?",
        sum(b.betrag for b in BELEGE if b.waehrung == "CHF"),
    )
    ask.total(
        "what was the average of the meal expenses (Verpflegung) in euros?",
        mean(b.betrag for b in BELEGE if (b.art, b.waehrung) == ("Verpflegung", "EUR")),
        rounded=True,
        typos=True,
    )
    ask.count(
        "How many receipts are for more than 1000 in any currency?",
        sum(b.betrag > 1000 for b in BELEGE),
    )
    ask.exists("Are there any expenses for flights?", False)
    ask.lookup("Who handed in receipt 2577?", BELEGE[76].name)


def _personal(ask: Asking) -> None:
    ask.basis, ask.language = TABLE, GERMAN
    ask.list(
        "Wer arbeitet weniger als 35 Stunden pro Woche?",
        _namen(k for k in KOLLEGEN if k.stunden < 35),
        _namen(KOLLEGEN),
    )
    ask.count("Wie viele Leute arbeiten in Kassel?", sum(k.standort == "Kassel" for k in KOLLEGEN))
    ask.lookup(
        "Seit wann ist Lena Voss im Unternehmen?", *date_forms(_BY_NAME["Lena Voss"].eintritt)
    )
    ask.language = PLAIN
    ask.list(
        "Which drivers (Fahrer or Fahrerin) do we have?",
        _namen(k for k in KOLLEGEN if k.funktion.startswith("Fahrer")),
        _namen(KOLLEGEN),
    )
    ask.list(
        "Who joined before 2016 and is not a plant manager?",
        _namen(k for k in KOLLEGEN if k.eintritt.year < 2016 and "Werkleiter" not in k.funktion),
        _namen(KOLLEGEN),
    )
    ask.total(
        "What is the total floor area of our sites in square metres?", sum(s[3] for s in STANDORTE)
    )
    ask.total(
        "How many hours a week do all employees in Eisenach work together?",
        sum(k.stunden for k in KOLLEGEN if k.standort == "Eisenach"),
        typos=True,
    )
    ask.exists(
        "Does anyone in Gotha work part time, below 30 hours?",
        any(k.stunden < 30 for k in KOLLEGEN if k.standort == "Gotha"),
    )
    ask.lookup("What does Annika Möller do at Lindenhof?", "Disponentin", "dispatcher", typos=True)
    ask.lookup("which street is the plant in Gotha in?", "Am Viadukt")
    largest = extreme(STANDORTE, lambda s: s[3])
    ask.most("Which site is the largest?", (largest[0],), [(s[0],) for s in STANDORTE])
    ask.compare(
        "Is the site in Fulda or the one in Gotha larger?",
        ("Fulda",),
        universe=[("Fulda",), ("Gotha",)],
    )


def _namen(people: Iterable[Kollege]) -> list[Forms]:
    return [(k.name,) for k in people]


def _maschinen(some: Iterable[Geraet]) -> list[Forms]:
    return [(g.name,) for g in some]


def _geraete(ask: Asking) -> None:
    ask.basis, ask.language = FIELDS, GERMAN
    every = _maschinen(GERAETE)
    ask.list(
        "Welche Geräte sind defekt?", _maschinen(g for g in GERAETE if g.zustand == "defekt"), every
    )
    ask.count(
        "Bei wie vielen Geräten steht im ersten Halbjahr 2026 die Wartung an?",
        sum(date(2026, 1, 1) <= g.wartung <= date(2026, 6, 30) for g in GERAETE),
    )
    oldest = extreme(GERAETE, lambda g: g.kauf, least=True)
    ask.most("Welches Gerät ist das älteste?", (oldest.name,), every)
    ask.exists(
        "Gibt es in Fulda ein Gerät, das nicht defekt ist?",
        any(g.standort == "Fulda" and g.zustand != "defekt" for g in GERAETE),
        _maschinen(g for g in GERAETE if g.standort == "Fulda" and g.zustand != "defekt"),
    )
    ask.language = PLAIN
    ask.list(
        "Which machines were bought before 2014?",
        _maschinen(g for g in GERAETE if g.kauf.year < 2014),
        every,
    )
    ask.total(
        "What did all machines at the Kassel plant cost together, in euros?",
        sum(g.preis for g in GERAETE if g.standort == "Kassel"),
    )
    ask.total(
        "average purchase price of the machines in good condition (gut)",
        mean(g.preis for g in GERAETE if g.zustand == "gut"),
        rounded=True,
    )
    one, other = GERAETE[1], GERAETE[9]
    ask.compare(
        f"Which was more expensive, {one.name} or {other.name}?",
        (extreme((one, other), lambda g: g.preis).name,),
        universe=[(one.name,), (other.name,)],
    )
    ask.lookup(
        "Where is the Kompressor Bora?", next(g.standort for g in GERAETE if "Bora" in g.name)
    )


def _haeuser(some: Iterable[Vertrag]) -> list[Forms]:
    return [(v.haus,) for v in some]


def _vertraege(ask: Asking) -> None:
    ask.basis, ask.language = PROSE, GERMAN
    every = _haeuser(VERTRAEGE)
    ask.list(
        "Welche Verträge enden 2026?", _haeuser(v for v in VERTRAEGE if v.ende.year == 2026), every
    )
    ask.list(
        "Mit welchen Häusern ist eine Vertragsstrafe vereinbart?",
        _haeuser(v for v in VERTRAEGE if v.strafe),
        every,
    )
    ask.count(
        "Wie viele Verträge haben eine Kündigungsfrist von mindestens sechs Monaten?",
        sum(v.frist >= 6 for v in VERTRAEGE),
    )
    ask.total(
        "Wie hoch sind alle monatlichen Pauschalen zusammen?", sum(v.pauschale for v in VERTRAEGE)
    )
    ask.exists("Gibt es einen Vertrag, der erst nach 2030 endet?", False)
    by_name = {v.haus: v for v in VERTRAEGE}
    ask.lookup(
        "Wann endet der Vertrag mit dem Herzzentrum Rotenburg?",
        *date_forms(by_name["Herzzentrum Rotenburg"].ende),
    )
    ask.language = PLAIN
    ask.list(
        "Which customers pay us more than 20,000 euros a month?",
        _haeuser(v for v in VERTRAEGE if v.pauschale > 20_000),
        every,
    )
    _more_vertraege(ask)


def _more_vertraege(ask: Asking) -> None:
    every = _haeuser(VERTRAEGE)
    by_name = {v.haus: v for v in VERTRAEGE}
    ask.language = PLAIN
    ask.count(
        "How many contracts expire in 2027 or later?", sum(v.ende.year >= 2027 for v in VERTRAEGE)
    )
    ask.count(
        "How many customers have a notice period of two months?",
        sum(v.frist == 2 for v in VERTRAEGE),
        typos=True,
    )
    ask.total(
        "What is the largest agreed quantity of laundry in tonnes?",
        max(v.tonnen for v in VERTRAEGE),
    )
    ask.total(
        "How many tonnes a month have we promised in all contracts that end in 2026?",
        sum(v.tonnen for v in VERTRAEGE if v.ende.year == 2026),
    )
    ask.most(
        "Which customer pays the highest flat fee?",
        (extreme(VERTRAEGE, lambda v: v.pauschale).haus,),
        every,
    )
    stift = by_name["Seniorenstift Werratal"]
    ask.lookup(
        "How much does Seniorenstift Werratal pay per month?",
        f"{stift.pauschale:,}",
        f"{stift.pauschale:,}".replace(",", "."),
        str(stift.pauschale),
    )
    one, other = by_name["Augenklinik Petersberg"], by_name["Hospiz Rosengarten"]
    ask.compare(
        "Compare how many tonnes Augenklinik Petersberg and Hospiz Rosengarten may send.",
        (str(one.tonnen),),
        (str(other.tonnen),),
    )


def _tage(some: Iterable[Sitzung]) -> list[Forms]:
    return [date_forms(s.tag) for s in some]


def _protokolle(ask: Asking) -> None:
    ask.basis, ask.language = PROSE, GERMAN
    ask.list(
        "Welche Teamrunden hat Miriam Sander geleitet?",
        _tage(s for s in SITZUNGEN if s.leitung == "Miriam Sander"),
        _tage(SITZUNGEN),
    )
    ask.count(
        "Wie viele Anträge wurden in den Teamrunden abgelehnt?",
        sum(not s.beschlossen for s in SITZUNGEN),
    )
    ask.total(
        "Wie viel Geld wurde in den Teamrunden insgesamt bewilligt?",
        sum(s.betrag for s in SITZUNGEN if s.beschlossen),
    )
    ask.lookup(
        "Wer kümmert sich um die Etiketten?",
        next(s.wer for s in SITZUNGEN if "Etiketten" in s.aufgabe),
    )
    ask.language = PLAIN
    absent = {s.fehlt for s in SITZUNGEN if s.tag < date(2025, 7, 1)}
    ask.list(
        "Who was absent from a team meeting in the first half of 2025?",
        [(n,) for n in sorted(absent)],
        _namen(KOLLEGEN),
    )
    ask.count(
        "how many team meetings were chaired by Jens Petzold",
        sum(s.leitung == "Jens Petzold" for s in SITZUNGEN),
    )
    ask.exists("Was a request for a swimming pool ever approved?", False)
    ask.exists("Were requests ever turned down in a team meeting?", True)


def _richtlinien(ask: Asking) -> None:
    ask.basis, ask.language = FIELDS, GERMAN
    ask.latest("Wie viel Cent pro Kilometer gibt es aktuell?", "38", stale=("30", "35"))
    ask.latest(
        "Bei wie viel Grad muss die Wäsche nach der gültigen Hygieneordnung gewaschen werden?",
        "71",
        stale=("60",),
    )
    ask.latest("Wie viele Tage Urlaub haben wir?", "30 Tage", "30", stale=("27",), basis=PROSE)
    ask.language = PLAIN
    ask.latest(
        "What may a hotel cost per night under the latest travel rules?", "128", stale=("95", "115")
    )
    ask.latest(
        "How often do gowns have to be changed now?",
        "täglich",
        "daily",
        "every day",
        stale=("wöchentlich", "weekly"),
    )

    ask.language = GERMAN
    ask.latest("Wie teuer durfte eine Hotelnacht im Jahr 2022 sein?", "95", stale=("115", "128"))


def _hops(ask: Asking) -> None:
    ask.basis, ask.language = PROSE, GERMAN
    ask.two_hops(
        "Wer ist die Vorgesetzte der Person, die sich um das Herzzentrum Rotenburg kümmert?",
        "Miriam Sander",
    )
    ask.two_hops("An welchem Standort arbeitet die neue Ersthelferin?", "Eisenach")
    ask.language = PLAIN
    ask.two_hops(
        "What is the job of the colleague who found the leak in the boiler Vesuv?",
        "Techniker",
        "technician",
    )
    ask.two_hops(
        "When did the person who stands in for Renate Uhlig in August join?",
        *date_forms(_BY_NAME["Annika Möller"].eintritt),
    )
    machine = next(g for g in GERAETE if g.name == "Mangel Saturn")
    head = next(s[2] for s in STANDORTE if s[0] == machine.standort)
    ask.two_hops("Who heads the site where the Mangel Saturn stands?", head)
    task = next(s for s in SITZUNGEN if "Solarmodule" in s.aufgabe)
    ask.two_hops(
        "Which site does the person getting an offer for solar panels work at?",
        _BY_NAME[task.wer].standort,
        typos=True,
    )


def _alles(ask: Asking) -> None:
    ask.basis, ask.language = PROSE, GERMAN
    facts = {name: [forms for _, forms in body[2]] for name, body in BERICHTE.items()}
    ask.document("Fasse den Energiebericht 2025 zusammen.", facts["Energiebericht 2025.md"])
    ask.document(
        "Was sind die wichtigsten Punkte des Berichts zur Kundenzufriedenheit?",
        facts["Bericht Kundenzufriedenheit.md"],
    )
    ask.language = PLAIN
    ask.document(
        "Give me the key points of the audit summary.", facts["Audit summary for the holding.md"]
    )
