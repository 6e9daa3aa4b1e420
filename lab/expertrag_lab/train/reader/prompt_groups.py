"""Choose the passages to show, and the questions to ask about them.

Training examples come in groups: up to ``Recipe.passages`` passages with all the questions that
they answer, so that training reads the passages once. The gold passages of one question are
distractors for another.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from expertrag.llm.prompt import ABSTAINS, Reply
from expertrag_lab.train.reader.answers import Answered, holding
from expertrag_lab.train.reader.examples import DevQuestions, ReaderExample, number_passages

if TYPE_CHECKING:
    from expertrag_lab.data.datasets import Dataset, Query
    from expertrag_lab.train.reader.passages import Passages
    from expertrag_lab.train.reader.recipe import ReaderRecipe
    from expertrag_retriever.types import Passage

_JOINED = 0.5  # share of groups filled with other questions' gold passages, not with search results
_TRIED = 20  # waiting questions whose passages are tried for this


class PromptGroups:
    """Makes the examples of one data set; ``rng`` is used for all draws."""

    def __init__(
        self,
        dataset: Dataset,
        domain: str,
        recipe: ReaderRecipe,
        passages: Passages,
        rng: random.Random,
    ) -> None:
        self._dataset = dataset
        self._domain = domain
        self._recipe = recipe
        self._passages = passages
        self._rng = rng

    def training(
        self, answerable: Sequence[Answered], unanswerable: Sequence[Query]
    ) -> tuple[ReaderExample, ...]:
        """Make training examples, group by group; the target of a share of them is abstention.

        Every question is asked ``Recipe.epochs`` times (more often in a small data set), each time
        among other passages. If the data set has too few unanswerable questions, answerable ones
        are asked once more without their gold passage.
        """
        if not answerable:
            return ()
        most = self._recipe.most_examples or len(answerable) + len(unanswerable)
        answerable = answerable[: round(most * (1 - self._share(unanswerable)))]
        epochs = self._recipe.epochs_of(len(answerable))
        return tuple(
            example for _ in range(epochs) for example in self._epoch(answerable, unanswerable)
        )

    def dev(self, answerable: Sequence[Answered], unanswerable: Sequence[Query]) -> DevQuestions:
        """Make dev questions; those with distractors show ``Recipe.passages`` passages."""
        most = self._recipe.passages
        return DevQuestions(
            alone=tuple(self._alone(item, 0) for item in answerable),
            among=tuple(self._alone(item, most) for item in answerable),
            unanswerable=tuple(self._tempt(query, most) for query in unanswerable),
        )

    def _epoch(
        self, answerable: Sequence[Answered], unanswerable: Sequence[Query]
    ) -> list[ReaderExample]:
        """Ask every answerable question once."""
        pool = _Pool(answerable, unanswerable, self._rng)
        share = self._share(unanswerable)
        examples: list[ReaderExample] = []
        abstained = 0
        while pool.waiting:
            first = self._first(pool, answerable, abstain=share * len(examples) - abstained >= 1)
            shown = first.passages
            if not shown:  # a small corpus: the search found nothing
                abstained += 1
                continue
            group = [first]
            for item in pool.about(shown):
                fits = _answers(shown, item) and not self._spoilt(shown, item)
                if fits and len(group) < self._recipe.questions:
                    del pool.waiting[item.query.id]
                    group.append(self._answer(item, shown))
            abstained += not first.reply.has_answer
            for query in pool.near(shown):
                if share * (len(examples) + len(group)) > abstained:
                    del pool.tempting[query.id]
                    group.append(self._abstain(query, shown))
                    abstained += 1
            strict = self._rng.random() < 0.5
            examples += [replace(example, strict=strict) for example in group]
        return examples

    def _share(self, unanswerable: Sequence[Query]) -> float:
        """Share of the examples whose target is abstention."""
        return self._recipe.tempted if unanswerable else self._recipe.unanswered

    def _first(
        self, pool: _Pool, answerable: Sequence[Answered], *, abstain: bool
    ) -> ReaderExample:
        """Take the first question of a group and choose the passages."""
        if not abstain:
            item = pool.waiting.pop(next(iter(pool.waiting)))
            return self._answer(item, self._draw_passages(item, pool.waiting))
        if pool.tempting:
            return self._tempt(pool.tempting.pop(next(iter(pool.tempting))), self._count())
        item = self._rng.choice(answerable)
        return self._abstain(item.query, self._distractors(item, self._count()))

    def _count(self) -> int:
        """Draw the number of passages: mostly few, which gives more examples per token."""
        return self._rng.randint(1, self._rng.randint(1, self._recipe.passages))

    def _draw_passages(self, item: Answered, waiting: Mapping[str, Answered]) -> list[Passage]:
        """Draw the passages of a group whose first question is ``item``."""
        count = self._count()
        shown = [*item.cited]
        if self._rng.random() < _JOINED:
            for other in list(waiting.values())[:_TRIED]:
                more = [p for p in other.cited if p not in shown]
                if len(shown) + len(more) <= count and not self._spoilt(more, item):
                    shown += more
        more = self._distractors(item, max(0, count - len(shown)))
        shown += [passage for passage in more if passage not in shown]
        self._rng.shuffle(shown)
        return shown

    def _spoilt(self, shown: Iterable[Passage], item: Answered) -> bool:
        """Whether a passage that the reply does not cite could also answer the question."""
        judged = self._dataset.relevant(item.query.id)
        return any(
            passage.document_id in judged or holding(passage, item.held_by) != ""
            for passage in shown
            if passage not in item.cited
        )

    def _alone(self, item: Answered, count: int) -> ReaderExample:
        shown = [*item.cited]
        shown += self._distractors(item, max(0, count - len(shown)))
        self._rng.shuffle(shown)
        return self._answer(item, shown)

    def _tempt(self, query: Query, count: int) -> ReaderExample:
        near = list(self._passages.of(str(query.metadata.get("near_doc"))))[:count]
        others = [item for item in self._search(query, count) if item not in near]
        shown = [*near, *others[: count - len(near)]]
        self._rng.shuffle(shown)
        return self._abstain(query, shown)

    def _distractors(self, item: Answered, count: int) -> list[Passage]:
        judged = frozenset(self._dataset.relevant(item.query.id))
        passages = self._search(item.query, count + len(judged)) if count else []
        return [
            passage
            for passage in passages
            if passage.document_id not in judged and not holding(passage, item.held_by)
        ][:count]

    def _search(self, query: Query, count: int) -> list[Passage]:
        return self._passages.search(query.text, 2 * count + 4)

    def _answer(self, item: Answered, shown: Sequence[Passage]) -> ReaderExample:
        reply = Reply(item.text, number_passages(shown, item.cited))
        return self._example(item.query, shown, reply, item.query.answers or ())

    def _abstain(self, query: Query, shown: Sequence[Passage]) -> ReaderExample:
        return self._example(query, shown, ABSTAINS)

    def _example(
        self, query: Query, shown: Iterable[Passage], reply: Reply, accepted: Sequence[str] = ()
    ) -> ReaderExample:
        return ReaderExample(
            self._dataset.name, self._domain, query.text, tuple(shown), reply, tuple(accepted)
        )


def _answers(shown: Sequence[Passage], item: Answered) -> bool:
    return all(passage in shown for passage in item.cited)


class _Pool:
    """The questions not yet asked in an epoch, by id and by document."""

    def __init__(
        self, answerable: Sequence[Answered], unanswerable: Sequence[Query], rng: random.Random
    ) -> None:
        self.waiting = {item.query.id: item for item in rng.sample(answerable, len(answerable))}
        self.tempting = {item.id: item for item in rng.sample(unanswerable, len(unanswerable))}
        self._about: dict[str, list[Answered]] = {}
        for item in answerable:
            self._about.setdefault(item.evidence[0].document_id, []).append(item)
        self._near: dict[str, list[Query]] = {}
        for query in unanswerable:
            self._near.setdefault(str(query.metadata.get("near_doc")), []).append(query)

    def about(self, shown: Iterable[Passage]) -> list[Answered]:
        """Find waiting answerable questions about the documents of the passages."""
        items = (item for name in _documents(shown) for item in self._about.get(name, ()))
        return [item for item in items if item.query.id in self.waiting]

    def near(self, shown: Iterable[Passage]) -> list[Query]:
        """Find waiting unanswerable questions that these documents seem to answer."""
        queries = (query for name in _documents(shown) for query in self._near.get(name, ()))
        return [query for query in queries if query.id in self.tempting]


def _documents(shown: Iterable[Passage]) -> list[str]:
    return list(dict.fromkeys(passage.document_id for passage in shown))
