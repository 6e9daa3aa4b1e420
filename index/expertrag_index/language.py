"""Detects whether texts are English, by their script and by common function words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from expertrag_index.types import Document
from expertrag_index.words import LETTERS

_LATIN = re.compile("[a-z\u00c0-\u024f\u1e00-\u1eff]")
_SAMPLE_CHARS = 2_000
"""Characters to examine, from the beginning of a text."""
_MOST_OTHER_LETTERS = 0.3
_FEWEST_WORDS = 2
_SMALLEST_SHARE = 0.04
"""Least share of a text's words that must be on a language's list to identify it. A third of the
words of English prose are on the list; of code and tables almost none are on any list."""

_ENGLISH_WORDS = """
and any are as at be because been but by can could did does each for from had has have he her his
how if in into it its may more must my no not of on one or other our shall she should so some such
than that the their them then there these they this those was we were what when which who will with
would you your
"""
# words that English lacks, a paragraph for each language that documents are likely to be in
_OTHER_WORDS = """
als auch auf aus bei dem den der des dich durch ein eine einem einen einer eines für haben hat ich
ihr ihre ist kann mit nach nicht nur oder sein sich sie sind über und vom von werden wenn wie wird
wurde zu zum zur das dass bis mehr kein keine

au aux avec ce cette ces dans de des du elle est et être il ils je la le les leur lors mais nous ou
où par pas plus pour que qui sa sans ses son sont sur une vous été

al como con cuando del desde el ella en entre es esta este estos están fue ha han hay las lo los más
muy para pero por porque puede que se ser si sin sobre su sus también tiene un una uno y

alla anche che chi cui da dal dalla degli dei del della delle di è gli ha il nel nella non per più
quando questa questo sono sua suo un uno

à ao aos às até com da das dos ela ele em entre está foi isso isto já mais mas na não nas nos ou
para pela pelo pode quando quem são sem ser seu sua também tem um uma você

aan al als bij dan dat de deze die dit door een en er geen het hij hun ik je kan maar met mijn naar
niet nog om ons ook op over te tot uit van voor waar wordt worden zich zijn

att av de den det detta du eller en ett från för har inte jag kan med men när och om på samt sig ska
som till under var vi är

af blev blir da den denne der det dette du ei eller en er et fra har hun hvis hvor ikke jeg kan med
men når og om også på sig som til var ved vil være

ei ettei hän ja jos joka kanssa kuin mutta myös niin olla oli ovat se sekä tai tämä voi

aby ale ani ať bez bude být co jak jako je jeho jen jest jestli jsou již když která které který lze
má na nebo není nie od oraz po pod podle podľa pre pro proto przed przez při sa się ska sú są tak
také tego ten też tylko tým u v ve w wszystkie za ze že żeby z

az és egy ez hogy meg nem van vagy volt lehet csak

care ce cu de din este fi în la mai nu pe pentru prin sau să se sunt un

bu bir da de değil gibi için ile olan olarak ve veya daha çok

các có của được để không là một này những trong và với cho từ người

adalah akan atau dalam dan dapat dari dengan di ini itu ke oleh pada tidak untuk yang

amb és els les més per que una dels

bi iz je kao koji na ne od po se su sve za ali če ima jih ki ni pri tudi

ir kad kā par uz vai ka bet yra arba
"""
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_OTHERS = frozenset(_OTHER_WORDS.split()) - _ENGLISH


def is_english(text: str) -> bool | None:
    """Whether a text is English; None if it has too few words to tell, as in tables and code."""
    words = LETTERS.findall(text[:_SAMPLE_CHARS].lower())
    letters = "".join(words)
    if not letters:
        return None
    if 1 - len(_LATIN.findall(letters)) / len(letters) > _MOST_OTHER_LETTERS:
        return False
    english = sum(word in _ENGLISH for word in words)
    others = sum(word in _OTHERS for word in words)
    if max(english, others) < max(_FEWEST_WORDS, _SMALLEST_SHARE * len(words)):
        return None
    return english >= others


class LanguageShare:
    """Measures which share of a stream of documents is in languages other than English."""

    def __init__(self) -> None:
        self._chars = 0
        self._other = 0

    @property
    def other(self) -> float:
        """Share of the characters whose document is in another language, in [0, 1]."""
        return self._other / self._chars if self._chars else 0.0

    def watch(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yield the documents unchanged, and count them."""
        for document in documents:
            self._chars += len(document.text)
            if is_english(f"{document.title}\n{document.text[:_SAMPLE_CHARS]}") is False:
                self._other += len(document.text)
            yield document
