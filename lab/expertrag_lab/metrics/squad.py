"""Score outputs against accepted answers: exact match, token F1, containment, or ``right``.

Normalisation, exact match and F1 follow SQuAD's official script (Rajpurkar et al. 2016): lower
case, no punctuation, no articles, single spaces. Containment: a normalised accepted answer is a
substring of the normalised output, as in AdaRAGUE's ``InAcc`` and most work on adaptive retrieval.
Outputs rarely repeat a whole clause word for word, so ``right`` also accepts a long answer by token
F1. Passage markers at the end of an output ("[2]") are ignored.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from expertrag.api.markers import split_markers

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
VERDICTS = frozenset({"yes", "no", "maybe"})
LONG_WORDS, LONG_F1 = 4, 0.5


def normalise(text: str) -> str:
    """Lower-case ``text`` and drop punctuation, articles and surplus white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def strip_markers(output: str) -> str:
    """Return what an output says: normalised, without the passage markers at its end."""
    return normalise(split_markers(output)[0])


def exact_match(output: str, answers: Sequence[str]) -> bool:
    """Whether the output is an accepted answer and nothing else, after normalisation."""
    return strip_markers(output) in set(map(normalise, answers))


def token_f1(output: str, answers: Sequence[str]) -> float:
    """F1 in [0, 1] of the output's words against the best-matching accepted answer."""
    return max(
        (_f1(strip_markers(output).split(), normalise(a).split()) for a in answers), default=0.0
    )


def contains(output: str, answers: Sequence[str]) -> bool:
    """Whether the output contains an accepted answer, after normalisation.

    An answer that normalises to nothing would be in every text, so it is ignored. If all accepted
    answers are yes, no or maybe, the first of these words in the output is the verdict. A substring
    is not: "no" is in "know".
    """
    accepted = set(filter(None, map(normalise, answers)))
    if accepted and accepted <= VERDICTS:
        words = strip_markers(output).split()
        return next((word for word in words if word in VERDICTS), None) in accepted
    return substring(output, answers)


def substring(output: str, answers: Sequence[str]) -> bool:
    """Whether a normalised accepted answer is a substring of the normalised output."""
    text = strip_markers(output)
    return any(answer in text for answer in filter(None, map(normalise, answers)))


def right(output: str, answers: Sequence[str]) -> bool:
    """Whether the output gives an accepted answer, short or long.

    If all accepted answers are verdicts, the output must begin with one. Otherwise it must contain
    an accepted answer, or have a token F1 above .5 with one of four words or more. For agreement
    with answers judged by hand see ``lab/benchmarks/mixed/README.md``.
    """
    accepted = set(map(normalise, answers))
    if accepted <= VERDICTS:
        first, *_ = strip_markers(output).split() or [""]
        return first in accepted
    long = [answer for answer in answers if len(normalise(answer).split()) >= LONG_WORDS]
    return substring(output, answers) or token_f1(output, long) > LONG_F1


def _f1(words: Sequence[str], accepted: Sequence[str]) -> float:
    if not words or not accepted:
        return float(words == accepted)
    common = sum((Counter(words) & Counter(accepted)).values())
    return 2.0 * common / (len(words) + len(accepted))
