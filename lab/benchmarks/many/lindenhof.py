"""Lindenhof Klinikservice, an invented laundry of hospitals: its facts, in German."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from many.prose import amount_of, day_of

NAME = "lindenhof"


@dataclass(frozen=True, slots=True)
class Kollege:
    """A row of the sheet of employees."""

    name: str
    funktion: str
    standort: str
    vorgesetzt: str
    eintritt: date
    stunden: float


@dataclass(frozen=True, slots=True)
class Beleg:
    """A row of the travel expenses."""

    nummer: int
    datum: date
    name: str
    art: str
    betrag: float
    waehrung: str


@dataclass(frozen=True, slots=True)
class Geraet:
    """A machine: front matter of its file."""

    name: str
    standort: str
    kauf: date
    wartung: date
    zustand: str
    preis: int


@dataclass(frozen=True, slots=True)
class Vertrag:
    """A contract with a hospital; everything stands in sentences."""

    haus: str
    beginn: date
    ende: date
    tonnen: int
    pauschale: int
    frist: int
    strafe: bool


@dataclass(frozen=True, slots=True)
class Sitzung:
    """Minutes of a meeting; everything stands in sentences."""

    tag: date
    leitung: str
    fehlt: str
    betrag: int
    zweck: str
    aufgabe: str
    wer: str
    beschlossen: bool


STANDORTE = (
    # Standort, Straße, Leitung, Fläche
    ("Kassel", "Wolfhager Straße 210", "Renate Uhlig", 3400),
    ("Gotha", "Am Viadukt 5", "Jens Petzold", 1850),
    ("Fulda", "Leipziger Straße 77", "Miriam Sander", 2600),
    ("Eisenach", "Mühlhäuser Straße 14", "Jens Petzold", 950),
)
KOLLEGEN = (
    Kollege("Renate Uhlig", "Werkleiterin", "Kassel", "Volker Brandt", date(2009, 4, 1), 40),
    Kollege("Jens Petzold", "Werkleiter", "Gotha", "Volker Brandt", date(2013, 10, 1), 40),
    Kollege("Miriam Sander", "Werkleiterin", "Fulda", "Volker Brandt", date(2017, 2, 1), 38.5),
    Kollege("Volker Brandt", "Geschäftsführer", "Kassel", "", date(2005, 1, 1), 40),
    Kollege("Heike Lorenz", "Buchhalterin", "Kassel", "Volker Brandt", date(2015, 6, 15), 30),
    Kollege("Tarik Yilmaz", "Techniker", "Kassel", "Renate Uhlig", date(2018, 9, 1), 40),
    Kollege("Sabine Kröger", "Fahrerin", "Gotha", "Jens Petzold", date(2019, 3, 1), 35),
    Kollege("Uwe Hartwig", "Fahrer", "Fulda", "Miriam Sander", date(2011, 8, 1), 40),
    Kollege("Lena Voss", "Qualitätsbeauftragte", "Fulda", "Miriam Sander", date(2021, 1, 1), 32),
    Kollege("Dragan Ilić", "Techniker", "Gotha", "Jens Petzold", date(2022, 5, 1), 40),
    Kollege("Annika Möller", "Disponentin", "Kassel", "Renate Uhlig", date(2023, 7, 1), 38.5),
    Kollege("Paul Steiner", "Fahrer", "Eisenach", "Jens Petzold", date(2024, 2, 1), 20),
    Kollege("Ines Wolf", "Näherin", "Eisenach", "Jens Petzold", date(2020, 11, 1), 25),
    Kollege("Karim Nasser", "Auszubildender", "Kassel", "Tarik Yilmaz", date(2025, 8, 1), 40),
)
ARTEN = ("Bahn", "Hotel", "Kilometergeld", "Verpflegung", "Parken")
_HAEUSER = (
    *("Klinikum Bad Arolsen", "Marienhospital Melsungen", "Rehaklinik Hainich"),
    *("Seniorenstift Werratal", "Herzzentrum Rotenburg", "Kinderklinik Hünfeld"),
    *("Diakonie Waltershausen", "St.-Elisabeth-Krankenhaus", "Fachklinik Ederaue"),
    *("Pflegeheim Am Anger", "Kreiskrankenhaus Sontra", "Augenklinik Petersberg"),
    *("Kurklinik Bad Salzungen", "Lungenklinik Immenhausen", "Hospiz Rosengarten"),
    *("Tagesklinik Nordstadt",),
)
_MASCHINEN = (
    *("Waschstraße Atlas", "Mangel Komet", "Trockner Boreas", "Faltmaschine Origami"),
    *("Gabelstapler Gelb", "Dampfkessel Vesuv", "Waschschleudermaschine Zyklon"),
    *("Sortieranlage Merkur", "Trockner Zephyr", "Mangel Saturn", "Kompressor Bora"),
    *("Nähplatz Singer 3", "Enthärter Kalk-Ex", "Transportband Nord"),
)
_AUFGABEN = (
    *("die neuen Wäschewagen bestellen", "den Brandschutzplan aushängen"),
    *("mit dem Betriebsarzt sprechen", "die Etiketten neu drucken"),
    *("ein Angebot für Solarmodule einholen", "die Spinde zuteilen"),
    *("den Tag der offenen Tür vorbereiten", "die Tourenpläne überarbeiten"),
    *("die Wasserproben einschicken", "die Schulung im Gefahrstoffrecht organisieren"),
    *("den Aufzug prüfen lassen", "die Schichtpläne für die Feiertage schreiben"),
    *("das Regal im Versand reparieren", "die Tankkarten tauschen"),
)
_ZWECKE = (
    *("Wäschewagen", "Arbeitsschuhe", "eine Klimaanlage", "Reinigungsmittel", "Software"),
    *("ein Sommerfest", "Bodenmarkierungen", "neue Reifen", "Weiterbildungen", "Lampen"),
    *("Regale", "einen Defibrillator", "Sitzmöbel", "Ersatzteile"),
)
RICHTLINIEN = (
    (
        "Reisekostenrichtlinie",
        "Reisekostenrichtlinie_V1.md",
        "1",
        date(2021, 1, 1),
        "Für eine Fahrt mit dem eigenen Wagen werden 30 Cent je Kilometer erstattet. "
        "Hotels dürfen bis 95 Euro je Nacht kosten.",
    ),
    (
        "Reisekostenrichtlinie",
        "Reisekostenrichtlinie_V2.md",
        "2",
        date(2023, 7, 1),
        "Für eine Fahrt mit dem eigenen Wagen werden 35 Cent je Kilometer erstattet. "
        "Hotels dürfen bis 115 Euro je Nacht kosten.",
    ),
    (
        "Reisekostenrichtlinie",
        "Reisekostenrichtlinie_V3.md",
        "3",
        date(2026, 1, 1),
        "Für eine Fahrt mit dem eigenen Wagen werden 38 Cent je Kilometer erstattet. "
        "Hotels dürfen bis 128 Euro je Nacht kosten.",
    ),
    (
        "Hygieneordnung",
        "Hygieneordnung alt.md",
        "2019-1",
        date(2019, 5, 1),
        "Kittel werden wöchentlich gewechselt. Die Wäsche wird bei 60 Grad gewaschen.",
    ),
    (
        "Hygieneordnung",
        "Hygieneordnung.md",
        "2024-2",
        date(2024, 10, 1),
        "Kittel werden täglich gewechselt. Die Wäsche wird bei 71 Grad gewaschen.",
    ),
    (
        "Urlaubsregelung",
        "Urlaubsregelung 2025.md",
        "4",
        date(2025, 1, 1),
        "Alle Beschäftigten haben 30 Tage Urlaub. Anträge sind sechs Wochen vorher zu stellen.",
    ),
)
ALTE_URLAUBSREGELUNG = (
    "Urlaubsregelung\n\nAlle Beschäftigten haben 27 Tage Urlaub. Anträge sind vier Wochen vorher "
    "zu stellen. Aushang am schwarzen Brett, Stand Frühjahr 2018."
)
BERICHTE = {
    "Energiebericht 2025.md": (
        "Energiebericht 2025",
        ("Verbrauch", "Maßnahmen", "Ausblick"),
        (
            ("Der Gasverbrauch sank um 12 Prozent.", ("12 Prozent", "12 %", "12%", "12 percent")),
            ("Insgesamt wurden 4.870 Megawattstunden verbraucht.", ("4.870", "4,870")),
            (
                "Die größte Einsparung brachte die Wärmerückgewinnung an der Waschstraße Atlas.",
                ("Wärmerückgewinnung", "heat recovery"),
            ),
            ("Der Dampfkessel Vesuv verlor durch ein Leck 90.000 Euro im Jahr.", ("Leck", "leak")),
            ("In Gotha gehen 220 Solarmodule ans Netz.", ("220",)),
            ("Die Förderung vom Land beträgt 310.000 Euro.", ("310.000", "310,000")),
            ("Für 2026 ist ein Stromspeicher in Fulda geplant.", ("Stromspeicher", "battery")),
        ),
    ),
    "Bericht Kundenzufriedenheit.md": (
        "Bericht zur Kundenzufriedenheit",
        ("Vorgehen", "Ergebnisse", "Folgerungen"),
        (
            ("Befragt wurden 47 Häuser.", ("47",)),
            ("Die Rücklaufquote lag bei 81 Prozent.", ("81 Prozent", "81 %", "81%", "81 percent")),
            (
                "Am häufigsten wurden verspätete Lieferungen am Montag beklagt.",
                ("Montag", "Monday"),
            ),
            ("Gelobt wurde die Freundlichkeit der Fahrerinnen und Fahrer.", ("Fahrer", "driver")),
            ("Die Gesamtnote beträgt 1,9.", ("1,9", "1.9")),
            ("Ab April fährt eine zweite Frühtour.", ("Frühtour", "early tour", "early round")),
        ),
    ),
    "Audit summary for the holding.md": (
        "Audit summary for the holding",
        ("Scope", "Findings", "Next steps"),
        (
            ("The auditors visited all four plants in October.", ("October",)),
            ("They recorded 23 findings.", ("23",)),
            ("Two of the findings are serious and concern the boiler in Kassel.", ("boiler",)),
            ("Stock records differ from the count by 1.4 percent.", ("1.4 percent", "1.4%")),
            ("The auditors are Behrens Prüfung GmbH.", ("Behrens",)),
            ("A second audit follows in June 2026.", ("June 2026",)),
        ),
    ),
}


def _belege() -> Iterator[Beleg]:
    chance = random.Random("lindenhof belege")
    bounds = {"Bahn": (18, 240), "Hotel": (62, 310), "Kilometergeld": (6, 180)}
    bounds |= {"Verpflegung": (9, 64), "Parken": (2, 38)}
    for number in range(1, 172):
        art = chance.choice(ARTEN)
        waehrung = chance.choices(("EUR", "CHF"), (7, 1))[0]
        betrag = amount_of(chance, *bounds[art])
        if number % 53 == 0:
            betrag = round(betrag + 1200, 2)  # a sum of a whole course, with a thousands point
        yield Beleg(
            2500 + number,
            day_of(chance, date(2025, 1, 6), date(2025, 12, 19)),
            chance.choice(KOLLEGEN).name,
            art,
            betrag,
            waehrung,
        )


def _geraete() -> Iterator[Geraet]:
    chance = random.Random("lindenhof geräte")
    for name in _MASCHINEN:
        kauf = day_of(chance, date(2008, 1, 1), date(2024, 12, 1))
        wartung = day_of(chance, date(2025, 9, 1), date(2026, 12, 20))
        zustand = chance.choices(("gut", "befriedigend", "defekt"), (5, 3, 2))[0]
        standort = chance.choice(STANDORTE)[0]
        yield Geraet(name, standort, kauf, wartung, zustand, 500 * chance.randint(6, 700))


def _vertraege() -> Iterator[Vertrag]:
    chance = random.Random("lindenhof verträge")
    for haus in _HAEUSER:
        beginn = date(chance.randint(2018, 2024), chance.choice((1, 4, 7, 10)), 1)
        ende = date(chance.choice((2025, 2026, 2026, 2027, 2028)), chance.choice((3, 6, 9, 12)), 30)
        yield Vertrag(
            haus,
            beginn,
            ende,
            chance.randint(2, 60),
            10 * chance.randint(140, 3900),
            chance.choice((2, 3, 6, 9)),
            chance.random() < 0.4,
        )


def _sitzungen() -> Iterator[Sitzung]:
    chance = random.Random("lindenhof sitzungen")
    tag = date(2025, 1, 14)
    leaders = ("Renate Uhlig", "Jens Petzold", "Miriam Sander")
    others = [k.name for k in KOLLEGEN if k.name not in leaders]
    for aufgabe, zweck in zip(_AUFGABEN, _ZWECKE, strict=True):
        fehlt, wer = chance.sample(others, 2)
        yield Sitzung(
            tag,
            chance.choice(leaders),
            fehlt,
            50 * chance.randint(8, 240),
            zweck,
            aufgabe,
            wer,
            chance.random() < 0.65,
        )
        tag += timedelta(days=chance.choice((21, 28)))


BELEGE = tuple(_belege())
GERAETE = tuple(_geraete())
VERTRAEGE = tuple(_vertraege())
SITZUNGEN = tuple(_sitzungen())
