"""Slots of a domain in one draw: the forms of its nouns and verbs in each language."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from expertrag_lab.train.scope.templates import Domain

_PAST = {
    "buy": "bought",
    "lend": "lent",
    "pay": "paid",
    "sell": "sold",
    "send": "sent",
    "take": "took",
    "teach": "taught",
    "win": "won",
    "begin": "began",
    "cancel": "cancelled",
    "ship": "shipped",
    "plan": "planned",
    "submit": "submitted",
    "admit": "admitted",
    "amend": "amended",
}
_ARTICLES = {
    "m": ("der", "den", "dem"),
    "f": ("die", "die", "der"),
    "n": ("das", "das", "dem"),
    "s": ("das", "das", "dem"),
    "p": ("", "", ""),
}

Slots = dict[str, list[str]]


def english(domain: Domain, draw: random.Random) -> Slots:
    """Draw the English slots of a domain."""
    plural, singular = draw.choice(domain.values["items"]).split("/")
    do = draw.choice(domain.values["do"])
    verb, _, rest = do.partition(" ")
    act = draw.choice(domain.values["act"])
    return {
        "items": [plural],
        "item": [singular],
        "do": [do],
        "does": [f"{_third_person(verb)} {rest}"],
        "act": [act],
        "acted": [_past(act)],
    }


def german(domain: Domain, draw: random.Random) -> Slots:
    """Draw the German slots of a domain."""
    plural, dative, singular, gender = draw.choice(domain.values["items"]).split("/")
    v2_plural, v2_singular, middle, particle = draw.choice(domain.values["do"]).split("/")
    adjective = draw.choice(domain.values["adj"])
    der, den, _ = _ARTICLES[gender]
    attr_gender, attr = draw.choice(domain.values["attr"]).split("|")
    amount, amount_gender = draw.choice(domain.values["sums"]).split("/")
    der_attr, _, _ = _ARTICLES[attr_gender]
    die = {"p": "die"}.get(amount_gender, _ARTICLES[amount_gender][0])
    ending = "en" if amount_gender == "p" else "e"
    average = draw.choice(("durchschnittlich", "mittler", "gesamt", "höchst", "niedrigst"))
    same = {"m": "denselben", "f": "dieselbe", "n": "dasselbe", "s": "dasselbe"}[attr_gender]
    new = draw.choice(("aktuelle", "neueste", "geltende", "jüngste"))
    act = draw.choice(domain.values["act"]).split("/")
    first, second = (_german_document(draw.choice(domain.values["doc"])) for _ in range(2))
    return {
        "items": [plural],
        "itemsdat": [dative],
        "item": [singular],
        "welcher": [{"m": "welcher", "f": "welche", "n": "welches"}[gender]],
        "do": [f"{v2_plural} {middle} {particle}"],
        "final": [f"{middle} {particle}{v2_plural}"],
        "v2pl": [v2_plural],
        "v2sg": [v2_singular],
        "rest": [f"{middle} {particle}"],
        "adj": [adjective],
        "deradj": [f"{der} {adjective}"],
        "deraktuelle": [f"{der} {new}"],
        "denaktuelle": [f"{den} {new}{'n' if gender == 'm' else ''}"],
        "denitem": [f"{den} {singular}"],
        "desitem": [f"der {singular}" if gender == "f" else f"des {singular}s"],
        "attr": [attr],
        "derattr": [f"{der_attr} {attr}"],
        "dieselbeattr": [f"{same} {attr}"],
        "deraktuelleattr": [f"{der_attr} {new} {attr}"],
        "sum": [amount],
        "dersum": [f"{die} {amount}"],
        "avgsum": [f"{die} {average}{ending} {amount}"],
        "acted": [act[-1]],
        "act": [act[0]],
        **{name: [value] for name, value in zip(_DOCUMENT, first, strict=True)},
        **{f"{name}2": [value] for name, value in zip(_DOCUMENT, second, strict=True)},
    }


_DOCUMENT = ("doc", "docacc", "docdat")


def romance(domain: Domain, draw: random.Random) -> Slots:
    """Draw the French or Spanish slots of a domain."""
    plural, singular, _ = draw.choice(domain.values["items"]).split("/")
    amount, gender = draw.choice(domain.values["sums"]).split("/")
    act = draw.choice(domain.values["act"]).split("/")
    first, second = (draw.choice(domain.values["doc"]).split("/") for _ in range(2))
    spanish = not domain.values["attr"][0].startswith(("le ", "la d", "l'"))
    the = ("el" if spanish else "le") if gender == "m" else "la"
    return {
        "items": [plural],
        "item": [singular],
        "sum": [amount],
        "lesum": [f"{the} {amount}"],
        "act": [act[0]],
        "acted": [act[1]],
        "doc": [first[0]],
        "dedoc": [first[1]],
        "doc2": [second[0]],
        "dedoc2": [second[1]],
    }


WORDINGS: Mapping[str, Callable[[Domain, random.Random], Slots]] = {
    "en": english,
    "de": german,
    "fr": romance,
    "es": romance,
}


def _german_document(value: str) -> tuple[str, str, str]:
    gender, noun = value.split("|")
    nominative, accusative, dative = _ARTICLES[gender]
    return f"{nominative} {noun}", f"{accusative} {noun}", f"{dative} {noun}"


def _third_person(verb: str) -> str:
    if verb in ("have", "do", "go"):
        return {"have": "has", "do": "does", "go": "goes"}[verb]
    if verb.endswith("y") and verb[-2] not in "aeou":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "x", "ch", "sh")) else f"{verb}s"


def _past(verb: str) -> str:
    if verb in _PAST:
        return _PAST[verb]
    if verb.endswith("y") and verb[-2] not in "aeou":
        return f"{verb[:-1]}ied"
    return f"{verb}d" if verb.endswith("e") else f"{verb}ed"
