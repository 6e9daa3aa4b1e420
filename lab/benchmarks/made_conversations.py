"""Conversations made of question sets: a question, its answer, and a follow-up.

    pronoun       two questions share a name; the second has a pronoun instead
    implicit      the second question leaves out "of <name>"; of policyqa, the site of the policy
    ellipsis      "What about <name>?" after the same question of something else
    same subject  the second question as it is, which stands alone
    change        a question of something else, which stands alone
    elsewhere     a question that the documents are not about, after one that they are

Every conversation has the question that its last message asks (``gold``), whose judgements are
known.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expertrag.api.turns import Turn
from expertrag_lab.data.datasets import Dataset, Query, load_dataset, sample

FOLLOW_UPS = ("pronoun", "implicit", "ellipsis")
ALONE = ("same subject", "change")
ELSEWHERE = "elsewhere"

_WORD = re.compile(r"[A-Za-z0-9][\w'-]*")
_PREPOSITIONS = "of|in|for|by|at|from|about|with|on"
_AFTER_PREPOSITION = re.compile(
    rf"\b(?:{_PREPOSITIONS}|to|into|under|between|than)$", re.IGNORECASE
)
_FEWEST_WORDS = 4
_TRIES = 600
_ABOUT = ("What about {}?", "And {}?", "How about {}?")
_PERSONS = ("occupation", "sport", "father", "mother", "place of birth", "religion")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation whose last message is ``message``; ``query_id`` is that of ``gold``."""

    kind: str
    history: tuple[Turn, ...]
    message: str
    gold: str
    query_id: str


def history(*exchanges: tuple[str, str]) -> tuple[Turn, ...]:
    """Return questions with their answers as turns."""
    return tuple(
        turn for asked, said in exchanges for turn in (Turn.user(asked), Turn.assistant(said))
    )


def of_names(dataset: Dataset, rng: random.Random) -> Iterator[Conversation]:
    """Yield conversations about the articles of squad2."""
    articles: dict[str, list[Query]] = defaultdict(list)
    for query in dataset.queries:
        if query.answers:
            articles[next(iter(dataset.qrels[query.id])).rsplit("-", 1)[0]].append(query)
    for queries in articles.values():
        done: set[str] = set()
        for _ in range(_TRIES if len(queries) > 1 else 0):
            first, second = rng.sample(queries, 2)
            name = _shared(first.text, second.text)
            if not name or second.id in done:
                continue
            turns = history((first.text, _answer(first)))
            forms = {
                "pronoun": _with_pronoun(second.text, name),
                "implicit": _without(second.text, name),
            }
            for kind, message in forms.items():
                if message:
                    done.add(second.id)
                    yield Conversation(kind, turns, message, second.text, second.id)
            yield Conversation("same subject", turns, second.text, second.text, second.id)


def of_focuses(dataset: Dataset, rng: random.Random) -> Iterator[Conversation]:
    """Yield conversations about the diseases of medquad."""
    focuses: dict[str, list[Query]] = defaultdict(list)
    kinds: dict[str, list[Query]] = defaultdict(list)
    for query in dataset.queries:
        focuses[str(query.metadata["focus"])].append(query)
        kinds[str(query.metadata["type"])].append(query)
    for focus, queries in focuses.items():
        first, second = rng.choice(queries), rng.choice(queries)
        turns = history((first.text, f"There is a page on {focus}."))
        other = rng.choice(kinds[str(first.metadata["type"])])
        if other.metadata["focus"] != focus:
            message = rng.choice(_ABOUT).format(other.metadata["focus"])
            yield Conversation("ellipsis", turns, message, other.text, other.id)
        if first is not second:
            if message := _with_pronoun(second.text, focus):
                yield Conversation("pronoun", turns, message, second.text, second.id)
            if message := _without(second.text, focus):
                yield Conversation("implicit", turns, message, second.text, second.id)


def of_entities(dataset: Dataset, rng: random.Random) -> Iterator[Conversation]:
    """Yield conversations about the entities of popqa."""
    relations: dict[str, list[Query]] = defaultdict(list)
    for query in dataset.queries:
        relations[str(query.metadata["prop"])].append(query)
    for relation, queries in relations.items():
        for query in queries:
            name = str(query.metadata["subject"])
            told = history((f"Tell me about {name}.", f"{name} is in the documents."))
            person = relation in _PERSONS
            if message := _with_pronoun(query.text, name, person=person):
                yield Conversation("pronoun", told, message, query.text, query.id)
            other = rng.choice(queries)
            if other is not query:
                asked = history((other.text, _answer(other)))
                message = rng.choice(_ABOUT).format(name)
                yield Conversation("ellipsis", asked, message, query.text, query.id)


def of_sites(dataset: Dataset, rng: random.Random) -> Iterator[Conversation]:
    """Yield conversations about the privacy policy of one site, of policyqa."""
    sites: dict[str, list[Query]] = defaultdict(list)
    for query in dataset.queries:
        sites[str(query.metadata["site"])].append(query)
    for queries in sites.values():
        for second in queries:
            first = rng.choice(queries)
            if first is not second and first.answers:
                turns = history((first.text, _answer(first)))
                message = second.text.partition("policy: ")[2]
                yield Conversation("implicit", turns, message, second.text, second.id)


def no_follow_ups(dataset: Dataset, rng: random.Random) -> Iterator[Conversation]:
    """Yield none: the questions of a set share nothing."""
    del dataset, rng
    yield from ()


MAKERS: Mapping[str, Callable[[Dataset, random.Random], Iterator[Conversation]]] = {
    "squad2": of_names,
    "medquad": of_focuses,
    "popqa": of_entities,
    "policyqa": of_sites,
    "hotpotqa": no_follow_ups,
    "pydocs": no_follow_ups,
}


def conversations(
    dataset: Dataset, elsewhere: Sequence[str], limit: int, seed: int
) -> list[Conversation]:
    """Make up to ``limit`` conversations of each kind from a set's questions.

    :param elsewhere: questions that no set's documents are about.
    """
    rng = random.Random(seed)
    kinds: dict[str, list[Conversation]] = defaultdict(list)
    for made in MAKERS[dataset.name](dataset, rng):
        kinds[made.kind].append(made)
    asked = [query for query in dataset.queries if query.answers or dataset.name != "squad2"]
    for _ in range(limit if dataset.name != "policyqa" else 0):  # its questions name the site
        first, second = rng.sample(asked, 2)
        turns = history((first.text, _answer(first)))
        kinds["change"].append(Conversation("change", turns, second.text, second.text, second.id))
        text = rng.choice(elsewhere)
        kinds[ELSEWHERE].append(Conversation(ELSEWHERE, turns, text, text, second.id))
    return [
        made
        for _, group in sorted(kinds.items())
        for made in rng.sample(group, min(limit, len(group)))
    ]


def general_questions(data: Path) -> list[str]:
    """Return questions about the world, and requests such as greetings and arithmetic."""
    everyday = load_dataset(Path(__file__).parent / "everyday", "test")
    openqa = sample(load_dataset(data / "openqa", "test").queries, 1_000, 0)
    return [query.text for query in (*openqa, *everyday.queries)]


def _answer(query: Query) -> str:
    return query.answers[0][:300] if query.answers else "It is in the documents."


def _shared(one: str, other: str) -> str:
    """Return the longest run of words of ``one``, with a name in it, that is also in ``other``."""
    words = _WORD.findall(one)
    best = ""
    for begin in range(len(words)):
        for end in range(len(words), begin, -1):
            run = words[begin:end]
            text = " ".join(run)
            if (
                len(text) <= max(3, len(best))
                or not run[0][0].isupper()
                or not run[-1][0].isupper()
            ):
                continue
            if begin and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", other):
                best = text
    return best


def _with_pronoun(question: str, name: str, *, person: bool = False) -> str:
    """Put a pronoun in the place of a name; "" if it is part of a longer phrase."""
    match = re.search(rf"(?:\b(?:the|a) )?(?<![\w-]){re.escape(name)}(?![\w-])('s|')?", question)
    if match is None:
        return ""
    after = question[match.end() :].split()
    owns = bool(match.group(1))
    if after and not owns and (after[0][0].isupper() or _is_noun(after[0])):
        return ""
    plural = name.endswith("s") and not name.endswith(("ss", "us", "is"))
    object_ = _AFTER_PREPOSITION.search(question[: match.start()].rstrip()) is not None
    words = {
        (True, True): "his", (True, False): "him" if object_ else "he",
        (False, True): "their" if plural else "its",
        (False, False): ("them" if object_ else "they") if plural else "it",
    }  # fmt: skip
    asked = question[: match.start()] + words[person, owns] + question[match.end() :]
    return asked[0].upper() + asked[1:]


def _is_noun(word: str) -> bool:
    """Return whether a lower-case word after a name probably belongs to the same phrase."""
    functions = f"{_PREPOSITIONS}|to|is|are|was|were|do|does|did|has|have|had|can|and|or|as|not|be"
    return re.match(rf"(?:{functions}|\W|\w+(?:ed|ing|es)\b)", word) is None


def _without(question: str, name: str) -> str:
    """Leave out a preposition with a name; "" if too little is left."""
    phrase = rf" (?:{_PREPOSITIONS}) (?:the )?{re.escape(name)}(?=[?.,]|$)"
    asked, count = re.subn(phrase, "", question, count=1)
    return asked if count and len(asked.split()) >= _FEWEST_WORDS else ""
