"""Units of amounts, in English and German, and scales such as "million"."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit: ``factor`` times the unit ``base``; ``word`` is its name in running text."""

    factor: Decimal
    base: str
    word: str


# base unit: "factor name spelling …". Bytes are not converted: a megabyte has two sizes.
_TABLE = {
    "s": """.001 millisecond ms milliseconds millisekunden
        1 second s sec secs seconds sekunde sekunden
        60 minute min mins minutes minuten
        3600 hour h hr hrs hours stunde stunden std
        86400 day days tag Tag tage tagen
        604800 week wk weeks woche wochen""",
    "mo": """1 month months monat monate monaten mths
        3 quarter quarters quartal quartale
        12 year yr yrs years jahr jahre jahren""",
    "g": """.001 milligram mg milligrams
        1 gram g grams gramm
        1000 kilogram kg kilograms kilo kilos kilogramm
        1000000 tonne t tonnes tonnen""",
    "lb": "1 pound lb lbs",
    "oz": "1 ounce oz ounces",
    "m": """.000001 micrometre µm μm
        .001 millimetre mm millimetres millimeter millimeters
        .01 centimetre cm centimetres centimeter centimeters
        1 metre m metres meter meters metern
        1000 kilometre km kilometres kilometer kilometers kilometern""",
    "in": "1 inch inches 12 foot ft feet 63360 mile mi miles",
    "m2": "1 m² m2 sqm qm",
    "l": """.000001 microlitre µl μl
        .001 millilitre ml millilitres milliliter milliliters
        1 litre l L litres liter liters litern""",
    "gal": "1 gallon gal gallons",
    "b": "1 byte bytes",
    "kb": "1 kilobyte KB kB kilobytes",
    "mb": "1 megabyte MB megabytes",
    "gb": "1 gigabyte GB gigabytes",
    "tb": "1 terabyte TB terabytes",
    "kib": "1 kibibyte KiB Ki",
    "mib": "1 mebibyte MiB Mi",
    "gib": "1 gibibyte GiB Gi",
    "%": "1 percent % prozent",
    "pp": "1 point",
    "degc": "1 °c °C",
    "degf": "1 °f °F",
    "v": "1 volt V volts",
    "w": "1 watt W watts 1000 kilowatt kW kilowatts",
    "kwh": "1 kwh kWh",
    "amp": "1 ampere A amps",
    "hz": "1 hertz Hz 1000 kilohertz kHz 1000000 megahertz MHz 1000000000 gigahertz GHz",
    "rpm": "1 rpm",
    "bar": "1 bar",
    "px": "1 pixel px pixels",
    "km/h": "1 km/h kph",
    "eur": "1 euro EUR € euros .01 eurocent eurocents",
    "usd": "1 dollar USD $ dollars",
    "gbp": "1 pound GBP £ sterling 1 pound pounds .01 pence p",
    "chf": "1 franc CHF francs franken",
    "jpy": "1 yen JPY ¥",
    "cent": "1 cent cents",
}
_CODES = "aud cad cny czk dkk inr nok pln sek"
_TABLE |= {code: f"1 {code} {code.upper()}" for code in _CODES.split()}
MONEY = frozenset({"eur", "usd", "gbp", "chf", "jpy", *_CODES.split()})

SCALES = {
    name: Decimal(10) ** power
    for power, names in {
        2: "hundred",
        3: "thousand thousands k tsd tausend",
        6: "million millions mn mio millionen",
        9: "billion billions bn mrd milliarden milliarde",
        12: "trillion trillions",
    }.items()
    for name in names.split()
}


def _read_table() -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for base, names in _TABLE.items():
        factor = Decimal(1)
        word = ""
        for name in names.split():
            if name[0] == "." or name.isdecimal():
                factor, word = Decimal(name), ""
                continue
            word = word or name
            units[name] = Unit(factor, base, word)
    return units


UNITS = _read_table()
"""Units by spelling; the names are in small letters, the symbols as they are written."""


def unit_of(spelling: str) -> Unit | None:
    """Return the unit of a name or symbol."""
    return UNITS.get(spelling) or (UNITS.get(spelling.lower()) if len(spelling) > 3 else None)
