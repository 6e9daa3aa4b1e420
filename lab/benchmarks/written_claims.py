"""Claims about office texts, written by hand: half of them right in other words, half wrong.

Each subject has a passage and eight claims. A wrong claim differs in one detail: another unit,
number, date, time, name, option or column, or a negation.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expertrag.api.types import Passage
from expertrag.grounding.ground import SUPPORTED, Grounding, ground, sentence_scores

FILE = Path(__file__).parent / "grounding" / "claims.jsonl"
_OTHERS = 4  # passages about other subjects beside the one of the claim


@dataclass(frozen=True, slots=True)
class Claim:
    """A question, its answer, and the passages that the answer is compared with.

    ``half``: "choose" if the rules were chosen on it, else "test". ``kind``: what was reworded or
    is wrong.
    """

    half: str
    kind: str
    question: str
    answer: str
    right: bool
    passages: tuple[Passage, ...]

    @property
    def grounding(self) -> Grounding:
        """Citations and support of the answer."""
        return ground(self.answer, self.passages, self.question)

    @property
    def score(self) -> float:
        """Mean score of the answer's sentences."""
        return float(np.mean(sentence_scores(self.answer, self.passages, self.question)))


def load() -> Iterator[Claim]:
    """Read the claims, each with the passage of its subject and those of the next ones."""
    subjects = defaultdict(list)
    for line in FILE.read_text(encoding="utf-8").splitlines():
        subject = json.loads(line)
        subjects[subject["half"]].append(subject)
    for half, held in subjects.items():
        for place, subject in enumerate(held):
            near = [*held[place:], *held][: 1 + _OTHERS]
            passages = tuple(
                Passage(s["subject"], 0, s["text"], 0, len(s["text"]), 1.0, title=s["title"])
                for s in near
            )
            for claim in subject["claims"]:
                yield Claim(half, passages=passages, **claim)


def summary(claims: Sequence[Claim]) -> dict[str, dict[str, float]]:
    """Return AUROC, false alarms and missed errors of each half."""
    report = {}
    for half in dict.fromkeys(claim.half for claim in claims):
        values = {
            right: [c for c in claims if c.half == half and c.right is right]
            for right in (True, False)
        }
        supported = {
            right: np.array([claim.grounding.support >= SUPPORTED for claim in held])
            for right, held in values.items()
        }
        report[half] = {
            "claims": len(values[True]) + len(values[False]),
            "AUROC": auroc([c.score for c in values[True]], [c.score for c in values[False]]),
            "right: called unsupported": round(1 - float(supported[True].mean()), 4),
            "wrong: called supported": round(float(supported[False].mean()), 4),
        }
    return report


def auroc(right: Sequence[float], wrong: Sequence[float]) -> float:
    """Return the probability that a right claim scores more than a wrong one."""
    above, other = np.array(right)[:, None], np.array(wrong)
    return round(float((above > other).mean() + (above == other).mean() / 2), 4)
