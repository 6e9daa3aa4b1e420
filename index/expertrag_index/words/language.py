"""Detects the language of texts, by their script and by common function words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from expertrag_index.types import Document
from expertrag_index.words.patterns import LETTERS, SCRIPTS

_LATIN = re.compile("[a-z\u00c0-\u024f\u1e00-\u1eff]")
_OTHER_SCRIPT = re.compile("[^\x00-\u024f\u1e00-\u1eff\u2000-\u20cf]")
"""What is in texts of other scripts, and in few others."""

_PART_CHARS = 1_000
"""Characters to examine at the beginning, in the middle and at the end of a text."""
_MOST_OTHER_LETTERS = 0.3
_FEWEST_WORDS = 2
_SMALLEST_SHARE = 0.04
"""Least share of a text's words that must be on a language's list to identify it. A third of the
words of English prose are on the list; of code and tables almost none are on any list."""
_DIFFERENT = 3
_LARGE_SHARES = (0.12, 0.2)
"""How many different words of its list show a language: one less for each of the shares of a text
that its words reach."""
_AROUND_WORDS = (
    ".,;:!?\u00bf\u00a1()[]\"'\u00ab\u00bb\u201c\u201d\u201e\u2018\u2019\u201a\u2026*-\u2013"
)

_ENGLISH_WORDS = """
and any are as at be because been but by can could did does each for from had has have he her his
how if in into it its may more must my no not of on one or other our shall she should so some such
than that the their them then there these they this those was we were what when which who will with
would you your
"""
# words that English lacks, a paragraph for each language that documents are likely to be in; one
# of several languages has the code of the first
_OTHER_WORDS = """
de:
als auch auf aus bei dem den der des dich durch ein eine einem einen einer eines für haben hat ich
ihr ihre ist kann mit nach nicht nur oder sein sich sie sind über und vom von werden wenn wie wird
wurde zu zum zur das dass bis mehr kein keine welche welcher welches welchem welchen wann wer wo
warum wieviel viele waren wurden hatte hatten gab im ins beim zwischen gegen seit unter während
dieser diese dieses diesem diesen es doch noch aber man uns wir sehr deren dessen ab etwa damit soll
muss müssen können

fr:
au aux avec ce cette ces dans de des du elle est et être il ils je la le les leur lors mais nous ou
où par pas plus pour que qui sa sans ses son sont sur une vous été quel quelle quels quelles quand
comment combien pourquoi quoi comme cet avait ont fait aussi

es:
a al como con cuando de del desde el ella en entre es esta este estos están fue ha han hay las lo
los más muy para pero por porque puede que se ser si sin sobre su sus también tiene un una uno y qué
cuál cuáles cuándo cómo cuánto cuántos cuántas dónde quién quiénes sino donde

it:
a alla anche che chi cui da dal dalla degli dei del della delle di e è gli ha il nel nella non per
più quando questa questo sono sua suo un uno quale quali come dove quanti quante quanto cosa anno al
alle ai nei

pt:
a à ao aos as às até com da das de dos e ela ele em entre está foi isso isto já mais mas na não nas
nos o os ou para pela pelo pode quando quem são sem ser seu sua também tem têm um uma você qual
quais onde como quantos quantas foram

nl:
aan al als bij dan dat de deze die dit door een en er geen het hij hun ik je kan maar met mijn naar
niet nog om ons ook op over te tot uit van voor waar wordt worden zich zijn wie wat welke welk hoe
wanneer hoeveel waarom werd werden haar hebben heeft

sv:
att av de den det detta du eller en ett från för har inte jag kan med men när och om på samt sig ska
som till under var vi är vad vilken vilket vilka hur vem varför många

da:
af blev blir da den denne der det dette du ei eller en er et fra har hun hvis hvor ikke jeg kan med
men når og om også på sig som til var ved vil være hvad hva hvilken hvilket hvordan hvornår hvem
hvorfor mange

fi:
ei ettei hän ja joka jolla jos jossa jotka jotta kanssa koska kuin kun mikä mutta myös niin nyt nämä
ole olla oli ovat se sekä sen siitä sitä tai tulee tämä tämän vain voi voidaan

cs:
a aby ale ani ať bez bude být co do i jak jako je jeho jen jest jestli jsem jsou již k když která
které který lze má na nebo není nie od oraz po pod podle podľa pokud pre pro proto przed przez při
sa się ska sú są tak také tego ten tento této też toto tylko tým u v ve w všechny wszystkie za ze že
żeby z jaki jaka jakie gdzie kiedy ile kto dlaczego kolik kdo kde kdy proč jaký jaká jaké

hu:
az és egy ez hogy meg nem van vagy volt lehet csak

ro:
a care ce cu de din este fi în la mai nu pe pentru prin sau să se sunt un

tr:
bu bir da de değil gibi için ile olan olarak ve veya daha çok

vi:
các có của được để không là một này những trong và với cho từ người

id:
adalah akan atau dalam dan dapat dari dengan di ini itu ke oleh pada tidak untuk yang

ca:
amb és els les més per que una dels

sl:
bi iz je kao koji na ne od po se su sve za ali če ima jih ki ni pri tudi

lt:
ir kad kā par uz vai ka bet yra arba
"""
_IN_NAMES = "af al da de dei del della den der di do dos du el la las le les los no van von zu"
"""Words that are in names of people, places and hosts: like single letters, they show no language
by themselves."""

_ENGLISH = frozenset(_ENGLISH_WORDS.split())
FUNCTION_WORDS: Mapping[str, frozenset[str]] = {
    code: frozenset(words.split()) - _ENGLISH
    for code, _, words in (part.partition(":") for part in _OTHER_WORDS.strip().split("\n\n"))
}
"""Common words by language, without those that English has as well."""

_LANGUAGES_OF: dict[str, list[str]] = {}
for _code, _listed in FUNCTION_WORDS.items():
    for _word in _listed:
        _LANGUAGES_OF.setdefault(_word, []).append(_code)
_PARTICLES = frozenset(_IN_NAMES.split())

OTHER_SCRIPT = "other"
"""The language of a text whose script is not in ``SCRIPTS``."""

_OF_SCRIPT = {
    code: re.compile(f"[{chr(letters.start)}-{chr(letters.stop - 1)}]")
    for code, letters in SCRIPTS.items()
}
_KANA = 0.1  # share of the letters of a Japanese text that is hardly ever missing


def is_english(text: str) -> bool | None:
    """Whether a text is English; None if it has too few words to tell, as in tables and code."""
    language = language_of(text)
    return language == "en" if language else None


def language_of(text: str) -> str:
    """Return the language of a text, such as ``de``; empty if it has too few words to tell.

    If most letters are not Latin, it is the largest language of their script. Neighbours may be
    taken for each other: Danish and Norwegian, and the languages of one list.
    """
    text = _sample(text).lower()
    if _OTHER_SCRIPT.search(text) and (script := _script_of(text)):
        return script
    words = [stripped for word in text.split() if (stripped := word.strip(_AROUND_WORDS))]
    counts = Counter(words)
    english = sum(counts[word] for word in counts.keys() & _ENGLISH)
    fewest = max(_FEWEST_WORDS, _SMALLEST_SHARE * len(words))
    others = counts.keys() & _LANGUAGES_OF.keys()
    if sum(counts[word] for word in others) <= english:  # no language has more of its words
        return "en" if english >= fewest else ""
    hits: dict[str, Counter[str]] = {}
    for word in sorted(others):
        for code in _LANGUAGES_OF[word]:
            hits.setdefault(code, Counter())[word] = counts[word]
    for code in sorted(hits, key=lambda code: -hits[code].total()):
        if _is_in(hits[code], len(words), fewest, english):
            return code
    return "en" if english >= fewest else ""


def language_of_question(text: str) -> str:
    """Return the language of a question: as ``language_of``, else by its first word.

    The first word counts if one language alone has it, and the question has no English words.
    """
    language = language_of(text)
    if language or not text.rstrip().endswith("?"):  # keywords: "man pages", "hat trick"
        return language
    words = [word.strip(_AROUND_WORDS).lower() for word in text.split()]
    own = _LANGUAGES_OF.get(words[0], []) if words else []
    alone = len(own) == 1 and words[0] not in _PARTICLES and _ENGLISH.isdisjoint(words)
    return own[0] if alone else ""


def _script_of(text: str) -> str:
    """Return the language that the script tells; empty for Latin letters."""
    letters = "".join(LETTERS.findall(text))
    if len(letters) - len(_LATIN.findall(letters)) <= _MOST_OTHER_LETTERS * len(letters):
        return ""
    counts = {code: len(of.findall(letters)) for code, of in _OF_SCRIPT.items()}
    if counts["ja"] >= _KANA * len(letters):
        return "ja"
    best = max(counts, key=lambda code: counts[code])
    return best if counts[best] else OTHER_SCRIPT


def _is_in(hits: Counter[str], count: int, fewest: float, english: int) -> bool:
    """Whether a text of ``count`` words is of the language that has the words ``hits`` of it."""
    total = hits.total()
    if total < fewest or total <= english:
        return False
    different = {word for word in hits if len(word) > 1} - _PARTICLES
    return len(different) >= _DIFFERENT - sum(total >= each * count for each in _LARGE_SHARES)


def _sample(text: str) -> str:
    """Return the beginning, the middle and the end of a text."""
    if len(text) <= 3 * _PART_CHARS:
        return text
    middle = (len(text) - _PART_CHARS) // 2
    parts = text[:_PART_CHARS], text[middle : middle + _PART_CHARS], text[-_PART_CHARS:]
    return " ".join(parts)


class LanguageShare:
    """Measures which share of a stream of documents is in languages other than English.

    Short documents of one file, such as the rows of a table, are judged together. The names in a
    few of them do not tell the language.
    """

    def __init__(self) -> None:
        self._chars = 0
        self._other = 0
        self._source = ""
        self._texts: list[str] = []  # of documents of this source that are not judged yet
        self._waiting = 0  # their characters

    @property
    def other(self) -> float:
        """Share of the characters whose document is in another language, in [0, 1]."""
        return self._other / self._chars if self._chars else 0.0

    def watch(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yield the documents unchanged, and count them."""
        for document in documents:
            if (
                self._waiting >= _PART_CHARS
                or not document.source
                or document.source != self._source
            ):
                self._judge()
            self._source = document.source
            self._texts.append(f"{document.title}\n{document.text}")
            self._waiting += len(document.text)
            yield document
        self._judge()

    def _judge(self) -> None:
        self._chars += self._waiting
        if is_english("\n".join(self._texts)) is False:
            self._other += self._waiting
        self._texts.clear()
        self._waiting = 0
