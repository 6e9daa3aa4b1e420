"""The files of Lindenhof Klinikservice, written from its facts."""

from __future__ import annotations

import random
from datetime import date

from many import files
from many.lindenhof import (
    ALTE_URLAUBSREGELUNG,
    BELEGE,
    BERICHTE,
    GERAETE,
    KOLLEGEN,
    RICHTLINIEN,
    SITZUNGEN,
    STANDORTE,
    VERTRAEGE,
    Geraet,
    Sitzung,
    Vertrag,
)
from many.prose import (
    MONATE,
    ZAHLEN,
    filler,
    german_amount,
    german_date,
    report,
)
from many.question import Files


def _list_tables() -> Files:
    """Return the files with tables."""
    return {
        "Finanzen/Reisekosten 2025.csv": files.delimited(
            ("Beleg", "Datum", "Mitarbeiter", "Kostenart", "Betrag", "Währung"),
            [
                (
                    b.nummer,
                    f"{b.datum:%d.%m.%Y}",
                    b.name,
                    b.art,
                    german_amount(b.betrag),
                    b.waehrung,
                )
                for b in BELEGE
            ],
            ";",
        ),
        "Personal/Mitarbeiter.xlsx": files.workbook(
            {
                "Mitarbeiter": (
                    ("Name", "Funktion", "Standort", "Vorgesetzte/r", "Eintritt", "Wochenstunden"),
                    [
                        (k.name, k.funktion, k.standort, k.vorgesetzt, k.eintritt, k.stunden)
                        for k in KOLLEGEN
                    ],
                ),
                "Standorte": (("Standort", "Straße", "Leitung", "Fläche m²"), STANDORTE),
            }
        ),
        "Richtlinien/Archiv/Urlaub (Aushang).txt": files.text(ALTE_URLAUBSREGELUNG),
    }


def write() -> Files:
    """Write the files of the folder."""
    result = dict(_list_tables())
    for geraet in GERAETE:
        result[f"Geräte/{geraet.name}.md"] = _geraet(geraet)
    for number, vertrag in enumerate(VERTRAEGE):
        result[f"Verträge/{vertrag.haus}.txt"] = files.text(_vertrag(vertrag, number))
    for number, sitzung in enumerate(SITZUNGEN):
        result[f"Protokolle/Teamrunde {sitzung.tag}.md"] = files.text(_protokoll(sitzung, number))
    for family, name, version, effective, body in RICHTLINIEN:
        fields = {"title": family, "version": version, "effective": effective}
        result[f"Richtlinien/{name}"] = files.front_matter(fields, f"# {family}\n\n{body}")
    for name, (title, sections, facts) in BERICHTE.items():
        body = report(
            random.Random(name),
            title,
            sections,
            [sentence for sentence, _ in facts],
            german=not name.startswith("Audit"),
        )
        result[f"Berichte/{name}"] = files.text(body)
    return {**result, **_mails(), **_beiwerk()}


def _geraet(it: Geraet) -> bytes:
    fields = {
        "gerät": it.name,
        "standort": it.standort,
        "gekauft": it.kauf,
        "nächste_wartung": it.wartung,
        "zustand": it.zustand,
        "preis_eur": it.preis,
    }
    return files.front_matter(
        fields, f"# {it.name}\n\n{filler(random.Random(it.name), 5, german=True)}"
    )


def _vertrag(it: Vertrag, number: int) -> str:
    chance = random.Random(it.haus)
    preis, frist = german_amount(it.pauschale)[:-3], ZAHLEN[it.frist]
    strafe = (
        "Bei verspäteter Lieferung wird eine Vertragsstrafe fällig."
        if it.strafe
        else "Eine Vertragsstrafe ist nicht vorgesehen."
    )
    fuelltext = filler(chance, 4, german=True)
    forms = (
        f"VERTRAG ÜBER WÄSCHELEISTUNGEN\n\nDie Lindenhof Klinikservice GmbH wäscht für {it.haus} "
        f"monatlich bis zu {it.tonnen} Tonnen. Der Vertrag beginnt am {german_date(it.beginn)} und "
        f"endet am {german_date(it.ende)}. Die Pauschale beträgt {preis} Euro im Monat. {strafe}"
        f"\n\n{fuelltext}\n\nGekündigt werden kann mit einer Frist von {frist} Monaten.",
        f"{it.haus}, Vereinbarung\n\n{fuelltext} Für {preis} € je Monat holen wir bis zu "
        f"{it.tonnen} Tonnen Wäsche ab. Begonnen wurde am {it.beginn:%d.%m.%Y}, Schluss ist am "
        f"{it.ende:%d.%m.%Y}. Wer früher aussteigen möchte, teilt dies {it.frist} Monate vorher "
        f"mit. {strafe}",
        f"Sehr geehrte Damen und Herren,\n\nhiermit bestätigen wir dem Haus {it.haus} die Laufzeit "
        f"vom {german_date(it.beginn)} bis zum {german_date(it.ende)}. {strafe} {fuelltext} "
        f"Die Kündigungsfrist beträgt {frist} Monate. In Rechnung stellen wir monatlich {preis} "
        f"Euro für höchstens {it.tonnen} Tonnen.\n\nLindenhof Klinikservice GmbH",
    )
    return forms[number % len(forms)]


def _protokoll(it: Sitzung, number: int) -> str:
    chance = random.Random(it.aufgabe)
    tag = f"{it.tag.day}. {MONATE[it.tag.month - 1]} {it.tag.year}"
    betrag = german_amount(it.betrag)[:-3]
    entscheid = (
        f"Die Runde bewilligte {betrag} Euro für {it.zweck}."
        if it.beschlossen
        else f"Der Antrag über {betrag} Euro für {it.zweck} wurde abgelehnt."
    )
    forms = (
        f"# Teamrunde vom {tag}\n\n{it.leitung} begrüßte alle und führte durch die Sitzung. "
        f"{it.fehlt} fehlte entschuldigt. {filler(chance, 3, german=True)}\n\n{entscheid} "
        f"{it.wer} wird bis zum nächsten Mal {it.aufgabe}.",
        f"# Protokoll, {tag}\n\nDie Leitung hatte {it.leitung}. Nicht dabei war {it.fehlt}. "
        f"{entscheid}\n\n{filler(chance, 4, german=True)} Übernommen hat {it.wer}: {it.aufgabe}.",
    )
    return forms[number % len(forms)]


def _mails() -> Files:
    heike, renate = "h.lorenz@lindenhof.example", "r.uhlig@lindenhof.example"
    items = (
        (
            heike,
            renate,
            "Skonto",
            date(2025, 9, 8),
            "Bitte die Rechnung der Firma Ölmüller bis 19. September freigeben, sonst ist "
            "das Skonto weg.",
        ),
        (
            renate,
            heike,
            "Vertretung im August",
            date(2025, 7, 22),
            "Annika Möller vertritt mich vom 4. bis 15. August.",
        ),
        (
            "v.brandt@lindenhof.example",
            renate,
            "Ansprechpartner Herzzentrum",
            date(2025, 5, 6),
            "Um das Herzzentrum Rotenburg kümmert sich ab sofort Lena Voss.",
        ),
        (
            "t.yilmaz@lindenhof.example",
            renate,
            "Kessel",
            date(2025, 10, 2),
            "Dragan Ilić hat das Leck am Dampfkessel Vesuv gefunden. Ohne ihn wüssten wir "
            "es noch nicht.",
        ),
        (
            renate,
            "alle@lindenhof.example",
            "Ersthelfer",
            date(2025, 3, 3),
            "Neue Ersthelferin im Haus ist Ines Wolf. Den Kurs hat Uwe Hartwig organisiert.",
        ),
    )
    return {
        f"Mails/{subject} {when}.eml": files.mail(sender, to, subject, when, body)
        for sender, to, subject, when, body in items
    }


def _beiwerk() -> Files:
    texts = {
        "Vorlagen/Mustervertrag.txt": "MUSTER\n\nDie Lindenhof Klinikservice GmbH wäscht "
        "für [HAUS] "
        "bis zu [MENGE] Tonnen. Der Vertrag endet am [DATUM].",
        "Sonstiges/Speiseplan.txt": "Montag Linsen, Dienstag Kartoffelauflauf, Freitag Fisch.",
        "Sonstiges/Chronik.txt": "1971 kaufte der Gründer die erste Mangel. Sie steht "
        "heute im Museum.",
        "Sonstiges/Anfahrt.txt": "Mit der Linie 4 bis Wolfsanger, dann fünf Minuten zu Fuß.",
        "Sonstiges/Wäschelexikon.txt": "Mangel: eine Maschine, die glättet. Tonne: tausend "
        "Kilogramm.",
    }
    notizen = {
        f"Sonstiges/Notiz {number}.txt": filler(
            random.Random(f"lindenhof {number}"), 8, german=True
        )
        for number in range(1, 6)
    }
    return {name: files.text(body) for name, body in {**texts, **notizen}.items()}
