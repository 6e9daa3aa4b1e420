"""A model on held-out prompts: its loss on right replies, its greedy replies, its doubt."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Sampling
from expertrag.llm.base import Generator
from expertrag.llm.prompt import NEXT_PASSAGE, Reply
from expertrag.llm.scoring import MOST_READ_TOKENS
from expertrag_index.types import Progress
from expertrag_lab.surgery.retrieved_prompts import PromptForm, RetrievedPrompt


@dataclass(frozen=True, slots=True)
class HeldAnswer:
    """A model on one prompt.

    :param loss: of the right reply and the end token, nats, summed; replies beyond 64 tokens are
        cut. None for a plain model where the passages hold no answer: no reply is right.
    :param tokens: that the loss is of.
    :param doubt: probability that no passage holds the answer; None of a plain model.
    """

    loss: float | None
    tokens: int
    reply: Reply
    doubt: float | None


def fitting(
    generators: Sequence[Generator],
    prompts: Sequence[RetrievedPrompt],
    form: PromptForm,
    most_tokens: int,
) -> list[RetrievedPrompt]:
    """Return the prompts that fit into the context of all models, with a reply.

    :param generators: of one tokenizer.
    :param most_tokens: of a greedy reply.
    :raises InvalidArgument: none fits.
    """
    room = min(each.context_tokens for each in generators) - max(MOST_READ_TOKENS + 1, most_tokens)
    usable = [item for item in prompts if generators[0].count_tokens(form.messages(item)) <= room]
    if not usable:
        raise InvalidArgument(
            f"none of {len(prompts)} prompts fits into the models' context with a reply, "
            f"{room:,} tokens: give rows with fewer or shorter passages"
        )
    return usable


def answer_held_out(
    generator: Generator,
    prompts: Sequence[RetrievedPrompt],
    form: PromptForm,
    most_tokens: int,
    report: Progress,
    adapter: str = "",
) -> list[HeldAnswer]:
    """Score the right replies to prompts, and answer them.

    One after the other: which prompts share a step could change the last bits of a result.

    :param most_tokens: of a greedy reply.
    :param adapter: name of the adapter that answers; empty for none.
    :raises InvalidArgument: the model runs on a server, which scores no replies; or there is no
        such adapter.
    """
    losses = _losses(generator, prompts, form, report, adapter)
    reader = generator.white_box is not None and generator.white_box.reader
    penalty = 0.0 if reader else None  # as served
    stop = (NEXT_PASSAGE,)
    sampling = Sampling(most_tokens, stop=stop, frequency_penalty=penalty, adapter=adapter)
    answers = []
    for done, (prompt, (loss, tokens)) in enumerate(zip(prompts, losses, strict=True)):
        report(f"{generator.name}: answers", done, len(prompts))
        messages = form.messages(prompt)
        policy = generator.make_policy(sampling, prompt.domain or None)
        with closing(
            generator.begin(messages, sampling, policy=policy, from_passages=True)
        ) as session:
            text = "".join(session.stream())
            doubt = session.doubt
        answers.append(HeldAnswer(loss, tokens, Reply.of(text), doubt))
    report(f"{generator.name}: answers", len(prompts), len(prompts))
    return answers


def _losses(
    generator: Generator,
    prompts: Sequence[RetrievedPrompt],
    form: PromptForm,
    report: Progress,
    adapter: str,
) -> list[tuple[float | None, int]]:
    box = generator.white_box
    if box is None:
        raise InvalidArgument(
            f"{generator.name} runs on a server, which scores no replies: name a model that runs "
            "in this process"
        )
    losses: list[tuple[float | None, int]] = [(None, 0)] * len(prompts)
    experts: dict[str | None, list[int]] = {}
    for place, prompt in enumerate(prompts):
        if form.right(prompt) is not None:
            experts.setdefault(prompt.domain if generator.experts else None, []).append(place)
    done, total = 0, sum(map(len, experts.values()))
    for domain, places in experts.items():
        items = [(form.messages(prompts[p]), form.right(prompts[p]) or "") for p in places]
        policy = generator.make_policy(Sampling(adapter=adapter), domain or None)
        read = box.read(items, policy, from_passages=True)
        for number, scored in read:
            report(f"{generator.name}: loss", done, total)
            done += 1
            values = scored.log_probabilities
            losses[places[number]] = -float(values.sum(dtype="float64")), len(values)
    report(f"{generator.name}: loss", total, total)
    return losses
