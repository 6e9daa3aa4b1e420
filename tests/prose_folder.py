"""Made-up contracts in prose, English and German, with the values that they state."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

_SIGNS = {"eur": "€", "usd": "$"}
_MONATE = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
_ENGLISH = (
    "Services Agreement with {party}\n\nThis agreement was signed on {signed} between Northwind "
    "Ltd and {party}. The agreement takes effect on {start} and expires on {end}. The fee is {fee} "
    "per year, excluding VAT. It may be terminated with {notice}' notice.",
    "Services Agreement with {party}\n\nNorthwind Ltd and {party} signed this agreement on "
    "{signed}. Services commence on {start}. The last day of service is {end}. Either party may "
    "give notice of {notice}. The yearly charge amounts to {fee}, due in advance.",
)
_GERMAN = (
    "Dienstvertrag mit {party}\n\nDieser Vertrag wurde am {signed} mit {party} geschlossen. Er "
    "beginnt am {start} und endet am {end}. Die Kündigungsfrist beträgt {notice}. Die jährliche "
    "Vergütung beträgt {fee} zuzüglich Umsatzsteuer.",
)
_PARTIES = ("Alder Logistics", "Cobalt Software", "Falk Spedition GmbH", "Harbour Freight")


@dataclass(frozen=True, slots=True)
class ContractValues:
    """What a contract states; dates in ISO 8601, ``notice`` as it is written."""

    signed: str
    start: str
    end: str
    fee: Decimal
    currency: str
    notice: str


def make_contracts(count: int, seed: int = 0) -> Iterator[tuple[str, ContractValues]]:
    """Yield the texts of contracts, every fourth in German, with what they state."""
    rng = random.Random(seed)
    for number in range(count):
        german = number % 4 == 3
        start = datetime.date(rng.randint(2021, 2025), rng.randint(1, 12), rng.randint(1, 28))
        end = start.replace(year=start.year + 2) - datetime.timedelta(days=1)
        signed = start - datetime.timedelta(days=rng.randint(5, 40))
        fee, currency = rng.choice((4_800, 12_500, 36_750)), rng.choice(("eur", "eur", "usd"))
        notices = ("drei Monate", "30 Tage") if german else ("three months", "90 days")
        notice = rng.choice(notices)
        days = {
            name: _in_german(day, number) if german else _in_english(day, number)
            for name, day in (("signed", signed), ("start", start), ("end", end))
        }
        amount = _amount(fee, currency, number, german=german)
        form = rng.choice(_GERMAN if german else _ENGLISH)
        text = form.format(party=rng.choice(_PARTIES), fee=amount, notice=notice, **days)
        first, second, third = (day.isoformat() for day in (signed, start, end))
        yield text, ContractValues(first, second, third, Decimal(fee), currency, notice)


def _in_english(day: datetime.date, form: int) -> str:
    forms = (f"{day.day} {day:%B %Y}", f"{day:%B} {day.day}, {day.year}", day.isoformat())
    return forms[form % 3]


def _in_german(day: datetime.date, form: int) -> str:
    month = _MONATE.split()[day.month - 1]
    return (f"{day.day}. {month} {day.year}", f"{day:%d.%m.%Y}")[form // 4 % 2]


def _amount(number: int, currency: str, form: int, *, german: bool) -> str:
    if german:
        digits = f"{number:,}".replace(",", ".")
        return (f"{digits},00 {_SIGNS[currency]}", f"{currency.upper()} {digits}")[form // 4 % 2]
    forms = (f"{currency.upper()} {number:,}", f"{_SIGNS[currency]}{number:,}.00")
    return forms[form % 2]
