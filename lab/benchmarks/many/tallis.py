"""The Tallis Institute, an invented institute for the sea: its facts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from many.prose import amount_of, day_of

NAME = "tallis"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of staff: front matter of a file."""

    name: str
    group: str
    room: str
    supervisor: str
    joined: date
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Purchase:
    """A row of the purchases."""

    order: str
    day: date
    group: str
    item: str
    vendor: str
    amount: float
    currency: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """A record of the help desk."""

    number: int
    opened: date
    closed: date | None
    priority: str
    team: str
    requester: str
    subject: str
    hours: float


@dataclass(frozen=True, slots=True)
class Server:
    """A row of the page of servers."""

    host: str
    place: str
    system: str
    memory: int
    owner: str
    warranty: date


@dataclass(frozen=True, slots=True)
class Agreement:
    """An agreement on data; everything stands in sentences."""

    partner: str
    country: str
    signed: date
    ends: date
    records: int
    contact: str
    publish: bool


@dataclass(frozen=True, slots=True)
class Meeting:
    """Minutes of the steering committee; everything stands in sentences."""

    day: date
    chair: str
    missing: str
    topic: str
    sum: int
    granted: bool
    place: str


GROUPS = ("Currents", "Plankton", "Acoustics", "Sediment", "Administration")
STAFF = (
    Member(
        "Ottoline Grieve", "Administration", "A101", "", date(2011, 9, 1), ("English", "French")
    ),
    Member(
        "Bashir Qureshi",
        "Currents",
        "C210",
        "Ottoline Grieve",
        date(2014, 1, 6),
        ("English", "Urdu"),
    ),
    Member(
        "Freya Lindqvist",
        "Plankton",
        "B115",
        "Ottoline Grieve",
        date(2016, 4, 4),
        ("English", "Swedish"),
    ),
    Member(
        "Marcus Oyelaran", "Acoustics", "C305", "Ottoline Grieve", date(2018, 10, 1), ("English",)
    ),
    Member(
        "Delphine Marchand",
        "Sediment",
        "A204",
        "Ottoline Grieve",
        date(2013, 3, 18),
        ("English", "French", "Spanish"),
    ),
    Member(
        "Hugo Ferreira",
        "Currents",
        "C212",
        "Bashir Qureshi",
        date(2021, 9, 13),
        ("English", "Portuguese"),
    ),
    Member("Kirsty McVey", "Currents", "C214", "Bashir Qureshi", date(2023, 2, 1), ("English",)),
    Member(
        "Anneli Saar",
        "Plankton",
        "B117",
        "Freya Lindqvist",
        date(2022, 8, 22),
        ("English", "Estonian", "Swedish"),
    ),
    Member(
        "Tomás Rivas",
        "Plankton",
        "B118",
        "Freya Lindqvist",
        date(2024, 1, 15),
        ("English", "Spanish"),
    ),
    Member(
        "Priya Nair",
        "Acoustics",
        "C306",
        "Marcus Oyelaran",
        date(2020, 5, 11),
        ("English", "Malayalam"),
    ),
    Member("Ewan Strachan", "Acoustics", "C308", "Marcus Oyelaran", date(2025, 1, 6), ("English",)),
    Member(
        "Lucie Bonnet",
        "Sediment",
        "A205",
        "Delphine Marchand",
        date(2019, 11, 25),
        ("English", "French"),
    ),
    Member(
        "Jonas Weidner",
        "Sediment",
        "A207",
        "Delphine Marchand",
        date(2023, 6, 5),
        ("English", "German"),
    ),
    Member(
        "Moira Campbell",
        "Administration",
        "A103",
        "Ottoline Grieve",
        date(2012, 2, 20),
        ("English", "French"),
    ),
    Member(
        "Idris Vaughan",
        "Administration",
        "A105",
        "Moira Campbell",
        date(2021, 4, 12),
        ("English", "Welsh"),
    ),
    Member(
        "Selma Aydin",
        "Administration",
        "A106",
        "Moira Campbell",
        date(2024, 9, 2),
        ("English", "German", "Turkish"),
    ),
)
_ITEMS = {
    "Currents": ("drifter buoy", "GPS module", "mooring rope"),
    "Plankton": ("microscope lens", "fine net", "sample jars"),
    "Acoustics": ("hydrophone", "recorder", "cable drum"),
    "Sediment": ("core tube", "sieve set", "freezer bags"),
    "Administration": ("chair", "projector", "paper"),
}
_VENDORS = (
    "Seabright Instruments",
    "Lochside Supplies",
    "Okeanos GmbH",
    "Hamada Optics",
    "Dunmore",
)
_TOPICS = (
    *("printer jammed", "cannot log in", "new account", "laptop is slow", "lost badge"),
    *("projector broken", "licence for the plotting tool", "e-mail full", "door will not open"),
)
_SYSTEMS = ("Debian 12", "Ubuntu 22.04", "Windows Server 2019", "Debian 11")
_PARTNERS = (
    ("Instituto Mar Azul", "Spain"),
    ("Hafrun Research", "Iceland"),
    ("Baltic Watch", "Estonia"),
    ("Station Marine de Kerlouan", "France"),
    ("Shirakawa University", "Japan"),
    ("Nordsjø Data", "Norway"),
    ("Port of Invergellie", "Scotland"),
    ("Lumen Fisheries", "Ireland"),
    ("Universidade do Cabo", "Portugal"),
    ("Weddell Trust", "England"),
    ("Helgoland Archiv", "Germany"),
    ("Cormorant Society", "Scotland"),
    ("Skagen Observatory", "Denmark"),
    ("Tern Analytics", "Ireland"),
    ("Aran Sound Lab", "Ireland"),
    ("Galway Tide Office", "Ireland"),
    ("Brest Hydro", "France"),
    ("Orkney Wave Farm", "Scotland"),
)
_TOPICS_OF_MEETINGS = (
    *("a second research boat", "new freezers", "a summer school", "a podcast"),
    *("the repair of the pier", "solar panels", "a glider", "open-access fees"),
    *("a flow tank", "bicycles for staff", "a visitor centre", "a new web site"),
    *("noise insulation", "a diving licence", "an exhibition in Oban", "laboratory coats"),
)


def _purchases() -> Iterator[Purchase]:
    chance = random.Random("tallis purchases")
    for number in range(1, 165):
        group = chance.choice(GROUPS)
        currency = chance.choices(("GBP", "USD", "JPY"), (6, 3, 1))[0]
        amount = amount_of(chance, 15, 2600)
        yield Purchase(
            f"PO-{7000 + number}",
            day_of(chance, date(2024, 10, 1), date(2025, 12, 15)),
            group,
            chance.choice(_ITEMS[group]),
            chance.choice(_VENDORS),
            float(round(amount * 150)) if currency == "JPY" else amount,
            currency,
        )


def _tickets() -> Iterator[Ticket]:
    chance = random.Random("tallis tickets")
    opened = date(2025, 1, 3)
    for number in range(4001, 4151):
        closed = opened + timedelta(days=chance.randint(0, 30))
        yield Ticket(
            number,
            opened,
            None if chance.random() < 0.18 else closed,
            chance.choices(("P1", "P2", "P3"), (1, 3, 5))[0],
            chance.choice(("desk", "network", "building")),
            chance.choice(STAFF).name,
            chance.choice(_TOPICS),
            chance.randint(1, 60) / 4,
        )
        opened += timedelta(days=chance.randint(0, 4))


def _servers() -> Iterator[Server]:
    chance = random.Random("tallis servers")
    owners = ("Idris Vaughan", "Hugo Ferreira", "Priya Nair", "Jonas Weidner")
    for host in (
        "corryvreckan",
        "staffa",
        "iona",
        "muck",
        "eigg",
        "rum",
        "canna",
        "coll",
        "tiree",
        "jura",
        "islay",
        "gigha",
        "arran",
        "bute",
        "lewis",
        "harris",
    ):
        yield Server(
            host,
            chance.choice(("cellar", "annexe", "boat house")),
            chance.choice(_SYSTEMS),
            chance.choice((16, 32, 64, 128, 256)),
            chance.choice(owners),
            day_of(chance, date(2025, 2, 1), date(2028, 12, 1)),
        )


def _agreements() -> Iterator[Agreement]:
    chance = random.Random("tallis agreements")
    contacts = [m.name for m in STAFF if m.group != "Administration"]
    for partner, country in _PARTNERS:
        signed = day_of(chance, date(2019, 1, 10), date(2024, 11, 30))
        ends = day_of(chance, date(2025, 6, 1), date(2029, 10, 1))
        records = 100 * chance.randint(3, 900)
        yield Agreement(
            partner, country, signed, ends, records, chance.choice(contacts), chance.random() < 0.6
        )


def _meetings() -> Iterator[Meeting]:
    chance = random.Random("tallis meetings")
    day = date(2024, 11, 12)
    leaders = [m.name for m in STAFF if m.supervisor in ("", "Ottoline Grieve")]
    for topic in _TOPICS_OF_MEETINGS:
        chair, missing = chance.sample(leaders, 2)
        place = chance.choice(("library", "pier room", "lecture hall"))
        total = 250 * chance.randint(4, 180)
        yield Meeting(day, chair, missing, topic, total, chance.random() < 0.6, place)
        day += timedelta(days=chance.choice((21, 28, 35)))


PURCHASES = tuple(_purchases())
TICKETS = tuple(_tickets())
SERVERS = tuple(_servers())
AGREEMENTS = tuple(_agreements())
MEETINGS = tuple(_meetings())
