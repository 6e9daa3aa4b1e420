"""Find subject and verb of a simple sentence with word lists instead of a parser."""

from __future__ import annotations

import re
from dataclasses import dataclass

_AUXILIARY_WORDS = "is are was were can could must will would should may might"
AUXILIARIES = frozenset(_AUXILIARY_WORDS.split())

# Third person singular; these are hardly ever plural nouns.
_VERBS_WORDS = """
    accepts adds affects allows appears applies assigns becomes begins belongs causes checks comes
    compares computes consists contains converts corresponds covers creates decides defaults
    defines deletes depends describes determines disables displays drops employs enables encrypts
    ensures enters evaluates exceeds executes expects extends extracts fails follows gets gives
    goes governs grants handles happens has helps holds identifies ignores implements implies
    includes indicates inherits inserts installs invokes involves keeps lasts leads lets lies
    limits loads locates locks looks maintains makes manages matches means modifies needs obtains
    occupies offers opens operates performs permits prevents prints produces protects provides
    reads receives reclaims recognizes records reduces refers rejects reloads relies removes
    replaces represents requires resolves restricts retrieves returns runs saves scans selects
    sends serves shows skips specifies starts stops stores submits supplies supports takes tells
    tests treats truncates turns understands updates uses uploads validates waits wants works
    writes yields
"""
_VERBS = frozenset(_VERBS_WORDS.split())
_PAST_WORDS = """
    became began bought brought built chose did discovered founded gave got had held invented kept
    led left lost made married met paid played published received ran saw sold sent set spent took
    taught told was were went won wrote
"""
_PAST = frozenset(_PAST_WORDS.split())
_ADVERBS_WORDS = (
    "meanwhile traditionally also always automatically currently normally only usually directly"
)
_ADVERBS = frozenset(_ADVERBS_WORDS.split())
_OPENERS_WORDS = "the a an each every all any no"
_OPENERS = frozenset(_OPENERS_WORDS.split())
_BREAKS = re.compile(r"[,()]|\b(?:that|which|who|whose|whether|when|if|where|because|and|or)\b")
_PEOPLE = (
    "actor|actress|architect|artist|author|botanist|businessman|chemist|coach|composer|cricketer|"
    "director|economist|engineer|footballer|geologist|guitarist|historian|journalist|judge|lawyer|"
    "mathematician|musician|novelist|organist|painter|philosopher|photographer|physicist|player|"
    "poet|politician|producer|professor|rapper|scientist|singer|soldier|songwriter|teacher|"
    "wrestler|writer|captain|manager|editor|daughter|son|brother|sister|wife|husband|man|woman|"
    "reporter|model|surfer|athlete"
)
_PERSON = re.compile(
    r"^[^a-z]*\((?:[^()]*\W)?born\b|(?:is|was) (?:\w+ )*?(?:a|an|the) "
    rf"(?:(?!by|of|for|with|in|album|film|band|single|song)[\w/-]+ ){{0,5}}"
    rf"(?:{_PEOPLE})\b(?! \w+ed\b)"
)
_IS_A = re.compile(r"\s*(?:is|are|was|were) (?:a|an|the|one|home|used)\b")
_RUN_IN = re.compile(r" (?:The|An?|In|If|It|This) |\b(\w+) \1\b|\b(?:more|most|next)\b")
_MOST_SUBJECT_WORDS = 9


@dataclass(frozen=True, slots=True)
class Clause:
    """A sentence without its full stop, split at its first verb; ``end`` is the verb's end."""

    subject: str
    verb: str
    rest: str
    end: int

    @property
    def auxiliary(self) -> bool:
        """Whether a question inverts subject and verb."""
        return self.verb in AUXILIARIES

    @property
    def states(self) -> bool:
        """Whether the verb is a form of "to be"."""
        return self.verb in {"is", "are", "was", "were"}


def clause(sentence: str) -> Clause | None:
    """Find subject and verb of a sentence, if its subject is short and simple."""
    body = sentence.rstrip(".")
    for match in list(re.finditer(r"\S+", body))[1 : _MOST_SUBJECT_WORDS + 1]:
        word = match[0]
        if word in AUXILIARIES or word in _VERBS:
            subject = body[: match.start()].strip()
            rest = body[match.end() :].strip()
            if _BREAKS.search(subject) or not _is_subject(subject) or _is_noun(word, rest):
                return None
            return Clause(subject, word, rest, match.end())
    return None


FINITE = "|".join(sorted(AUXILIARIES | _VERBS | _PAST))
"""Pattern of the words that can be the verb right after a subject."""


def is_finite(word: str) -> bool:
    """Whether a word is one of ``FINITE``."""
    return word in AUXILIARIES or word in _VERBS or word in _PAST


def pronoun_for(predicate: str) -> str:
    """Choose the question word for a subject by its predicate: a person, a thing, or either."""
    if _PERSON.match(predicate.strip()):
        return "Who"
    return "What" if _IS_A.match(predicate) else "Who or what"


def base_form(verb: str) -> str:
    """Return the infinitive of a verb in the third person singular."""
    if verb == "has":
        return "have"
    if verb.endswith("ies") and verb != "lies":
        return verb[:-3] + "y"
    if re.search(r"(?:s|x|ch|sh|o)es$", verb) and not re.search(r"(?:uses|closes|oses)$", verb):
        return verb[:-2]
    return verb[:-1]


def lower(subject: str, text: str) -> str:
    """Lower-case a subject for use inside a sentence; ``text`` shows which words are not names."""
    first, space, rest = subject.partition(" ")
    small = first.lower()
    if small in _OPENERS:
        return f"{small}{space}{rest}"
    known = small.endswith("ing") or re.search(rf"\b{re.escape(small)}\b", text)
    word = first.istitle() and not rest[:1].isupper() and known
    return f"{small}{space}{rest}" if word else subject


def _is_noun(word: str, rest: str) -> bool:
    """Whether an apparent verb is a plural noun, because another verb follows."""
    following = rest.partition(" ")[0]
    return word not in AUXILIARIES and (is_finite(following) or following.endswith(("ed", "been")))


def _is_subject(subject: str) -> bool:
    """Whether the words before a verb can only be its subject."""
    words = subject.split()
    first, last = words[0].lower(), words[-1].lower()
    return (
        not _RUN_IN.search(subject)
        and first not in _VERBS | _ADVERBS
        and last not in _ADVERBS
        and last not in {"to", "of", "not", "the", "a", "be"}
    )
