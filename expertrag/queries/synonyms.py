"""Words that mean the same in a question and in the name of a column or table.

One entry is one meaning, in English and German; a line that is indented goes on. Only words that
hardly mean anything else in a business document are here.
"""

from __future__ import annotations

from expertrag.queries.vocabulary import fold

_GROUPS = """
end ends ended ending expire exp expires expired expiring expiry expiration terminate
  terminates until validto ende endet enden endete auslaufen ablauf laufzeitende abläuft
start starts started starting begin begins began beginning commence commencement since
  validfrom joined hired beginn beginnt begann eintritt angefangen
renew renews renewed renewal verlängerung verlängert erneuerung
author authors wrote write written writes writer reported reporter verfasser autor geschrieben
  verfasst schrieb
owner owners owns own owned responsible verantwortlich verantwortliche besitzer zuständig
assignee assigned assignedto handles zugewiesen bearbeiter
office offices location site works work working worked based located sits city standort ort
  büro sitzt arbeitet arbeiten
mgr manager managers manages managed boss supervisor report reports reporting berichten
  berichtet leiter vorgesetzter vorgesetzte chef
amount amounts cost costs price prices fee fees spend spent paid pay charge charged value
  expensive cheap cheapest dear priciest dearest pricey salary wage wages bill billed charge
  total betrag teuer teuerste teuersten günstig billig kosten preis gebühr ausgegeben bezahlt
turnaround lead slowest quickest fastest fast slow quick duration durations long longer
  longest short shorter shortest last lasted took minutes hours dauer dauerte gedauert lang
  länger längste kürzeste
date day when happened occurred datum tag wann
emp employee employees staff headcount person people colleague colleagues who mitarbeiter
  mitarbeiterin mitarbeitern angestellte personal wer
incident incidents outage outages vorfall vorfälle vorfällen störung störungen
contract contracts agreement agreements vertrag verträge verträgen
invoice invoices bill bills rechnung rechnungen
expense expenses spending spesen reisekosten ausgabe ausgaben auslagen
licence licences license licenses subscription subscriptions lizenz lizenzen
cust customer customers client clients kunde kunden
supplier suppliers vendor vendors lieferant lieferanten anbieter
meeting meetings minutes protokoll protokolle besprechung besprechungen sitzung sitzungen
policy policies richtlinie richtlinien
ticket tickets anfrage anfragen
project projects projekt projekte projekten
server servers host hosts machine machines rechner
order orders bestellung bestellungen auftrag aufträge
category categories type types kind kinds kategorie art typ
dept department departments team teams abteilung abteilungen
country countries land länder
status state zustand
severity schweregrad schwere
priority priorität
travel trip trips journey reise reisen reisekosten
mail mails email emails message messages nachricht nachrichten
from sender sent sends absender gesendet
to recipient recipients received empfänger erhalten
product products produkt produkte artikel
qty quantity units stock menge stück bestand
role position job title rolle stelle funktion
salary salaries gehalt gehälter
name names name namen
seats seat users plätze
currency currencies währung währungen
receipt receipts voucher vouchers beleg belege belegen
payment payments zahlung zahlungen
rent rents miete mieten
warranty garantie gewährleistung
language languages speak speaks spoken sprache sprachen spricht sprechen
tenant tenants mieter mietern
group groups gruppe gruppen
room rooms raum räume zimmer
notice kündigungsfrist
device devices machine machines equipment gerät geräte geräten maschine maschinen
plant standort standorte standorten werk
caretaker look after looks hausmeister
vendor vendors supplier suppliers händler lieferant
inspection inspections prüfung prüfungen
hire hired joined join eintritt eingestellt
close closed resolve resolved geschlossen
price preis preise
memory ram speicher
floor storey storeys etage stockwerk
town city ort stadt
role job position funktion rolle
"""

_MEANINGS: dict[str, set[int]] = {}
for _number, _line in enumerate(_GROUPS.replace("\n  ", " ").strip().splitlines()):
    for _word in _line.split():
        _MEANINGS.setdefault(fold(_word), set()).add(_number)


KNOWN_WORDS = frozenset(_MEANINGS)
"""All of these words, folded."""


def have_same_meaning(first: str, second: str) -> bool:
    """Return whether two folded words are in one group."""
    return not _MEANINGS.get(first, set()).isdisjoint(_MEANINGS.get(second, set()))
