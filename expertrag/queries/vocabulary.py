"""Words of a question that are about the asking, not about the documents, in four languages."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from expertrag_index.words.porter import stem

_WORD = re.compile(r"[^\W_]+(?:['’.&/-][^\W_]+)*", re.UNICODE)

_ASKING = frozenset(
    ["a", "about", "above", "across", "against", "all", "along", "altogether", "among", "an", "and", "any", "anyone", "anything", "are", "as", "at", "be", "been", "before", "being", "below", "between", "both", "but", "by", "can", "could", "did", "do", "does", "done", "during", "each", "either", "else", "ever", "every", "everyone", "everything", "exist", "existed", "exists", "few", "find", "for", "from", "further", "get", "gets", "give", "given", "gives", "got", "had", "has", "have", "having", "he", "her", "here", "hers", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "know", "let", "list", "listed", "lists", "made", "make", "makes", "many", "may", "me", "mention", "mentioned", "might", "mine", "more", "most", "much", "must", "my", "name", "named", "names", "need", "no", "none", "nor", "not", "now", "of", "off", "on", "once", "one", "ones", "only", "or", "other", "our", "ours", "out", "over", "overall", "own", "per", "please", "provide", "same", "say", "says", "see", "several", "shall", "she", "should", "show", "shows", "so", "some", "someone", "still", "such", "tell", "than", "that", "the", "their", "theirs", "them", "then", "there", "these", "they", "this", "those", "through", "to", "together", "too", "total", "totals", "under", "until", "up", "us", "use", "used", "uses", "using", "was", "we", "were", "what", "whatever", "when", "where", "whether", "which", "while", "who", "whom", "whose", "why", "will", "with", "within", "without", "would", "you", "your", "yours", "across", "amount", "amounts", "number", "numbers", "count", "counts", "sum", "sums", "average", "mean", "median", "maximum", "minimum", "max", "min", "highest", "lowest", "biggest", "smallest", "largest", "greatest", "least", "fewest", "longest", "shortest", "latest", "newest", "earliest", "oldest", "first", "last", "recent", "recently", "current", "currently", "today", "different", "distinct", "unique", "entries", "entry", "records", "record", "rows", "row", "items", "item", "documents", "document", "files", "file", "happen", "happened", "happens", "occur", "occurred", "occurs", "took", "take", "takes", "place", "come", "came", "comes", "held", "there's", "what's", "who's", "yes", "ok", "hi", "hello", "want", "wanted", "company", "in-house", "spend", "spent", "spends", "spending", "cost", "costs", "costing", "pay", "paid", "pays", "worth", "value", "values", "combined", "top", "bottom", "alltogether", "contain", "contains", "include", "includes", "including", "involve", "involves", "involving", "aber", "alle", "allem", "allen", "aller", "alles", "als", "also", "am", "an", "ander", "andere", "anderen", "auch", "auf", "aus", "bei", "beim", "bis", "bitte", "da", "dabei", "damit", "dann", "das", "dass", "dem", "den", "denen", "der", "deren", "des", "dessen", "die", "dies", "diese", "diesem", "diesen", "dieser", "dieses", "doch", "du", "durch", "ein", "eine", "einem", "einen", "einer", "eines", "er", "es", "etwas", "euch", "für", "gab", "gaben", "geben", "gesamt", "gesamte", "gesamten", "gibt", "gib", "haben", "hat", "hatte", "hatten", "hier", "hoch", "höchste", "höchsten", "ich", "ihr", "ihre", "im", "in", "insgesamt", "ist", "ja", "jede", "jeder", "jedes", "je", "kann", "kein", "keine", "keinen", "können", "liste", "listen", "man", "mehr", "mich", "mir", "mit", "nach", "nenne", "nein", "nicht", "niedrigste", "noch", "nur", "oder", "ohne", "pro", "sein", "seine", "sich", "sie", "sind", "so", "summe", "teuerste", "über", "um", "und", "uns", "unser", "unsere", "unter", "viel", "viele", "vielen", "vom", "von", "vor", "wann", "war", "waren", "was", "welche", "welchem", "welchen", "welcher", "welches", "wem", "wen", "wenn", "wer", "werden", "wessen", "wie", "wieviel", "wieviele", "wir", "wird", "wo", "wurde", "wurden", "würde", "zeig", "zeige", "zu", "zum", "zur", "zwischen", "durchschnitt", "durchschnittlich", "durchschnittliche", "anzahl", "älteste", "neueste", "größte", "kleinste", "längste", "kürzeste", "meisten", "wenigsten", "ausgegeben", "kostet", "kosten", "betrag", "gezahlt", "einträge", "dokumente", "dateien", "au", "aux", "avec", "ce", "ces", "cette", "combien", "dans", "de", "des", "donne", "du", "elle", "en", "est", "et", "être", "il", "ils", "la", "le", "les", "leur", "liste", "lors", "mais", "montre", "moyenne", "nous", "ont", "ou", "où", "par", "pas", "pour", "quand", "que", "quel", "quelle", "quelles", "quels", "qui", "sans", "se", "ses", "somme", "son", "sont", "sur", "total", "tous", "tout", "toutes", "un", "une", "y", "avons", "dépensé", "al", "algún", "alguna", "con", "cuál", "cuáles", "cuándo", "cuántas", "cuánto", "cuántos", "del", "el", "ella", "ellos", "en", "entre", "es", "esta", "este", "están", "fue", "fueron", "hay", "la", "las", "los", "lista", "muestra", "nuestro", "o", "para", "pero", "por", "promedio", "qué", "quién", "quiénes", "se", "sin", "su", "sus", "suma", "todas", "todos", "tiene", "tienen", "un", "una", "uno", "y"]
)
"""Words that ask. A question is understood if all of its other words are linked."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a question; ``start`` and ``end`` are character offsets."""

    text: str
    start: int
    end: int

    @property
    def folded(self) -> str:
        """The word in lower case, without accents."""
        return fold(self.text)

    @property
    def asks(self) -> bool:
        """Whether the word is about the asking."""
        return self.text.casefold() in _ASKING or self.folded in _ASKING


def words_of(text: str) -> list[Word]:
    """Split a text into words."""
    return [Word(match[0], match.start(), match.end()) for match in _WORD.finditer(text)]


def fold(text: str) -> str:
    """Return a text in lower case, without accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


def same_word(first: str, second: str) -> bool:
    """Return whether two folded words are one: the same stem, an inflection, or a typing error."""
    if first == second or stem(first) == stem(second):
        return True
    shorter, longer = sorted((first, second), key=len)
    if len(shorter) >= 4 and longer.startswith(shorter) and len(longer) - len(shorter) <= 3:
        return True
    if len(shorter) < 5 or any(map(str.isdigit, first + second)):
        return False
    if (
        len(shorter) >= 6
        and longer[: len(shorter) - 1] == shorter[:-1]
        and len(longer) - len(shorter) <= 2
    ):
        return True  # "renew" and "renewal", "category" and "categories"
    return _differ_by_one(shorter, longer) or (len(shorter) >= 6 and _is_swap(shorter, longer))


def _differ_by_one(shorter: str, longer: str) -> bool:
    """Return whether one letter was added, left out or changed."""
    if len(longer) - len(shorter) > 1:
        return False
    at = next(
        (i for i, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter)
    )
    if len(shorter) == len(longer):
        return shorter[at + 1 :] == longer[at + 1 :]
    return shorter[at:] == longer[at + 1 :]


def _is_swap(first: str, second: str) -> bool:
    """Return whether two neighbouring letters are swapped."""
    if len(first) != len(second):
        return False
    at = next((i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b), None)
    if at is None or at + 1 >= len(first):
        return False
    swapped = first[:at] + first[at + 1] + first[at] + first[at + 2 :]
    return swapped == second
