"""Prompts of a team's traffic, and their tokens as they are served.

A file of prompts has the rows of :mod:`retrieved_prompts`; ``answer`` may be missing, if it is not
known.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Sampling
from expertrag.llm import prompt as prompts
from expertrag.llm.base import Generator
from expertrag.llm.load.chat import ChatTokenizer
from expertrag_lab.json_lines import find_file, read_lines
from expertrag_lab.surgery.retrieved_prompts import PromptForm, RetrievedPrompt, parse_prompt

DOMAIN_KEY = "domain"
"""Field of a row that names its domain, unless the caller names another."""
_FORM = 'a row is {"question": TEXT, "passages": [TEXT, …], "answer": TEXT, "domain": NAME}'


@dataclass(frozen=True, slots=True)
class TrafficPrompt:
    """A question with the passages that it is served with.

    :param known: whether ``prompt.answer`` is the right answer; if it is not known, the model's own
        takes its place.
    """

    prompt: RetrievedPrompt
    known: bool = True

    @property
    def domain(self) -> str:
        """Domain of the question."""
        return self.prompt.domain


def read_traffic(
    path: Path, domain: str, domain_key: str = DOMAIN_KEY
) -> tuple[TrafficPrompt, ...]:
    """Read a file of prompts.

    :param domain: of rows that name none.
    :raises NotFound: there is no such file.
    :raises InvalidArgument: a row is not as above, or there is none.
    """
    prompts = []
    for number, item in read_lines(find_file(path))[0]:
        named = {**item, "answer": item.get("answer"), "domain": item.get(domain_key) or domain}
        try:
            row = parse_prompt(named, f"line {number}")
        except ValueError as error:
            raise InvalidArgument(f"{path} line {number}: {error}; {_FORM}") from None
        prompts.append(TrafficPrompt(row, "answer" in item))
    if not prompts:
        raise InvalidArgument(f"{path} has no rows; {_FORM}")
    return tuple(prompts)


def draw(
    traffic: Sequence[TrafficPrompt], limit: int | None, seed: int
) -> tuple[TrafficPrompt, ...]:
    """Draw at most ``limit`` prompts of every domain; a larger limit contains a smaller one's."""
    by_domain: dict[str, list[TrafficPrompt]] = {}
    for item in traffic:
        by_domain.setdefault(item.domain, []).append(item)
    return tuple(
        item
        for own in by_domain.values()
        for item in random.Random(seed).sample(own, len(own))[:limit]
    )


class ServedTokens:
    """Makes the tokens that a model runs when it answers a prompt."""

    def __init__(self, generator: Generator, chat: ChatTokenizer, most_tokens: int) -> None:
        """Take the model that answers where no answer is known.

        :param most_tokens: of an answer.
        """
        self._generator = generator
        self._chat = chat
        self._most_tokens = most_tokens
        self._form = PromptForm.of(generator)

    def tokens(self, item: TrafficPrompt) -> list[int]:
        """Return the tokens of prompt and answer, without the end token: no layer runs that.

        Passages that do not fit the context are dropped, as in serving.

        :raises InvalidArgument: not even the best passage fits.
        """
        given, budget = item.prompt, self._generator.context_tokens - self._most_tokens
        packed = prompts.pack(
            given.question,
            given.passages,
            self._generator.count_tokens,
            budget,
            self._form.family,
        )
        kept = len(packed.kept)
        cited = tuple(number for number in given.cited if number <= kept)
        shown = replace(given, passages=packed.kept, cited=cited)
        answer = self._form.right(shown) if item.known else None
        if answer is None:
            answer = self._own(shown)
        written = self._chat.encode_text(answer)[: self._most_tokens]
        return [*self._chat.encode(self._form.messages(shown)), *written]

    def _own(self, given: RetrievedPrompt) -> str:
        """Return the model's own answer, with the sampling of the server."""
        model = self._generator.white_box
        sampling = Sampling(
            self._most_tokens,
            stop=(prompts.NEXT_PASSAGE,),
            frequency_penalty=0.0 if model and model.reader else None,
        )
        policy = self._generator.make_policy(sampling, given.domain)
        with closing(
            self._generator.begin(
                self._form.messages(given), sampling, policy=policy, from_passages=True
            )
        ) as session:
            begun = " " if self._form.family.beginning(given.question) else ""
            return begun + "".join(session.stream()).strip()
