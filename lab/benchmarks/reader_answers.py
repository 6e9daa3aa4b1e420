"""Answers of the base model and of the reader, batched in one engine and cached on disk.

WORK/reader/attached-HASH         the base with the bundle attached
WORK/reader/answers-HASH.jsonl    answers of a model by question; an interrupted run can be resumed
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from reader_questions import Asked

from expertrag import models
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.reply import reply_sampling
from expertrag.api.contrast import Contrast
from expertrag.api.types import Sampling
from expertrag.llm import load_generator, prompt
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import BASE, SHARED, Generator
from expertrag.llm.convert.attach import attach
from expertrag_index.types import Progress
from expertrag_lab.data.resume import appending, read_results
from expertrag_retriever.base import Embedder

AT_A_TIME = 12  # simultaneous texts


@dataclass(frozen=True, slots=True)
class ModelReply:
    """An answer. ``doubt``: probability that it begins with the abstention, in [0, 1].

    ``likely``: mean log probability of the tokens of the target reply, including its end; None
    without a target reply.
    """

    text: str
    doubt: float
    likely: float | None = None

    @property
    def reply(self) -> prompt.Reply:
        """The answer without its markers."""
        return prompt.Reply.of(self.text)


class Model:
    """A language model with its cached answers."""

    def __init__(
        self,
        generator: Generator,
        work: Path,
        tokens: int,
        report: Progress,
        contrast: Contrast | None = None,
    ) -> None:
        assert isinstance(generator, TransformersGenerator), "it is a folder"
        self.generator = generator
        self._path = work / f"answers-{generator.fingerprint[:12]}.jsonl"
        self._closed = Sampling(max_tokens=tokens, contrast=contrast)
        self._open = reply_sampling(self._closed, reader=ReadingPolicy.of(generator).reader)
        self._report = report

    def ask(self, asked: Sequence[Asked], experts: Sequence[str]) -> list[ModelReply]:
        """Answer questions, each by an expert; models without named experts ignore it."""
        own = self.generator.experts
        chosen = [expert if expert in own else SHARED for expert in experts]
        keys = [self._key(*pair) for pair in zip(asked, chosen, strict=True)]
        wanted = dict(zip(keys, zip(asked, chosen, strict=True), strict=True))
        with appending(self._path) as file, ThreadPoolExecutor(AT_A_TIME) as pool:
            known = read_results(self._path, _parsed)
            missing = {
                pool.submit(self._reply, *pair): key
                for key, pair in wanted.items()
                if key not in known
            }
            try:
                for done, future in enumerate(as_completed(missing), start=1):
                    reply, key = future.result(), missing[future]
                    file.write(json.dumps({"key": key, **asdict(reply)}) + "\n")
                    file.flush()
                    known[key] = reply
                    self._report(f"{self.generator.name}: answers", done, len(missing))
            finally:
                pool.shutdown(cancel_futures=True)
        return [known[key] for key in keys]

    def _key(self, asked: Asked, expert: str) -> str:
        content = repr((asked.messages, asked.reply, expert, self._sampling(asked)))
        return hashlib.sha256(content.encode()).hexdigest()[:24]

    def _sampling(self, asked: Asked) -> Sampling:
        return self._closed if asked.passages is None else self._open

    def _reply(self, asked: Asked, expert: str) -> ModelReply:
        messages, sampling = asked.messages, self._sampling(asked)
        shows = asked.passages is not None
        bare = prompt.open_book(asked.question, ()) if shows and sampling.contrast else None
        policy = self.generator.make_policy(sampling, expert)
        with closing(
            self.generator.begin(
                messages, sampling, policy=policy, from_passages=shows, without_passages=bare
            )
        ) as session:
            text = "".join(session.stream())
        # the prompt is in the engine's prefix cache now
        texts = [prompt.NOT_FOUND, *filter(None, [asked.reply])]
        items = [(messages, text) for text in texts]
        read = dict(self.generator.read(items, policy, from_passages=shows))
        doubt = float(np.exp(read[0].log_probabilities[0]))
        return ModelReply(
            text, doubt, float(read[1].log_probabilities.mean()) if asked.reply else None
        )


class Contestants:
    """The base model, the reader, and the router that chooses the reader's expert."""

    def __init__(
        self,
        base: str,
        bundle: Path,
        embedder: Embedder,
        work: Path,
        tokens: int,
        report: Progress,
    ) -> None:
        own = work / "reader"
        self.base_folder, self.reader_folder = models.resolve(base), _attached(base, bundle, own)
        self.base = Model(load_generator(self.base_folder), own, tokens, report)
        self.reader = Model(load_generator(str(self.reader_folder)), own, tokens, report)
        self.experts = [name for name in self.reader.generator.experts if name != BASE]
        self._embedder = embedder

    def both(self, asked: Sequence[Asked]) -> tuple[list[ModelReply], list[ModelReply]]:
        """Answer with base and reader, as served: the question's domain chooses the expert."""
        return self.base.ask(asked, [SHARED] * len(asked)), self.routed(asked)

    def routed(self, asked: Sequence[Asked]) -> list[ModelReply]:
        """Answer each question by the expert that the router chooses."""
        return self.reader.ask(asked, self.chosen(asked))

    def by(self, expert: str, asked: Sequence[Asked]) -> list[ModelReply]:
        """Answer all questions by one expert."""
        return self.reader.ask(asked, [expert] * len(asked))

    def chosen(self, asked: Sequence[Asked]) -> list[str]:
        """Return the names of the experts that the router chooses."""
        found = routed(self._embedder, asked)
        return [name if name in self.experts else SHARED for name in found]


def routed(embedder: Embedder, asked: Sequence[Asked]) -> list[str]:
    """Return the domain of each question that the embedder's router finds likeliest."""
    if not asked:
        return []
    names = (*embedder.experts, SHARED)
    places = embedder.posteriors([item.question for item in asked]).argmax(1)
    return [names[place] for place in places.tolist()]


def _attached(base: str, bundle: Path, work: Path) -> Path:
    """Attach the bundle to its base, unless that was done before."""
    digest = hashlib.sha256()
    for path in sorted(bundle.iterdir()):
        if path.suffix != ".md":  # the card does not affect answers
            digest.update(path.read_bytes())
    folder = work / f"attached-{digest.hexdigest()[:12]}"
    if not folder.exists():
        attach(models.resolve(base), bundle, folder)
    return folder


def _parsed(item: Mapping[str, Any]) -> tuple[str, ModelReply]:
    return item["key"], ModelReply(item["text"], item["doubt"], item["likely"])
