"""What the victim of a fault does when the fault comes: scenarios that reach every state."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import torch
from engine_seams import Caller, Outputs

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.api.types import Constraint, Sampling
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.engine.native_session import NativeSession
from expertrag.llm.engine.scheduler import Scheduler
from expertrag.llm.engine.sequences import SequenceState, Status, WeakSequence
from expertrag.llm.expert_pattern import ExpertPattern


@dataclass(frozen=True, slots=True)
class Scenario:
    """A request, and how its caller reads the answer.

    ``peeks``: tokens that are sampled before the gate; ``looks``: whether doubt is asked for first;
    ``bare``: the prompt of a weak side of its own; ``shares``: whether a weak side reads the
    prompt's keys; ``pressed``: whether another request takes its pages before the
    gate lets it go on; ``cut``: whether its
    caller goes after the second piece; ``scores``: whether the prompt is only read, in two parts;
    ``patterned``: whether it has an expert pattern.
    """

    question: str
    sampling: Sampling
    peeks: int = 0
    looks: bool = False
    bare: str = ""
    shares: bool = False
    pressed: bool = False
    cut: bool = False
    scores: bool = False
    patterned: bool = False


def _sampling(tokens: int = 7, **fields: Any) -> Sampling:
    return Sampling(tokens, 40.0, 5, frequency_penalty=0.5, **fields)


_LONG = "The quick brown fox jumps over the lazy dog and runs away. "
_LETTERS = Constraint(regex="[a-f]{2,30}")
_WORDS = Constraint(choices=("abcdefgh", "abcdxyz"))
SCENARIOS: dict[str, Scenario] = {
    "plain": Scenario("What is an index?", _sampling()),
    "peeking": Scenario(_LONG * 2, _sampling(logprobs=2), peeks=3),
    "looking": Scenario("Is it so?", _sampling(), looks=True, patterned=True),
    "drafting": Scenario("abcabcabcabcabc", Sampling(7, 0.0, 1, frequency_penalty=0.0)),
    "weak": Scenario(
        "Who wrote it?", _sampling(contrast=Contrast(WeakSide.NO_PASSAGES)), bare=_LONG + "Who?"
    ),
    "sharing": Scenario(_LONG * 2, _sampling(contrast=Contrast(WeakSide.ROUTING)), shares=True),
    "constrained": Scenario("Name it.", _sampling(constraint=_LETTERS)),
    "forced": Scenario("Choose.", _sampling(constraint=_WORDS), peeks=2),
    "preempted": Scenario((_LONG * 4)[:180], _sampling(10), peeks=2, pressed=True),
    "closing": Scenario("What goes away?", _sampling(40, stop=("#",)), cut=True),
    "scoring": Scenario(_LONG, _sampling(), scores=True),
}
PRESSING = Scenario(("Another one: " + _LONG * 5)[:240], _sampling(4))
BYSTANDER = Scenario("And what is a page?", _sampling())
PLAIN = Scenario("Is all well?", _sampling(4))


def read(
    generator: TransformersGenerator,
    scenario: Scenario,
    caller: Caller,
    follow: Callable[[SequenceState], None],
    press: Callable[[], None],
) -> str:
    """Answer a request as the pipeline does.

    :param follow: gets the request's sequence.
    :param press: answers another request, which needs the pages of one that pauses.
    """
    messages = [Message("user", scenario.question)]
    if scenario.scores:
        return _score(generator, messages, follow)
    generator.check(replace(scenario.sampling, contrast=None))
    with generator.using(scenario.sampling):
        generator.count_tokens(messages)
        with closing(_begin(generator, scenario, messages, caller)) as session:
            follow(session._sequence)
            if scenario.looks:
                session.look()
            if scenario.peeks:
                session.peek(scenario.peeks)
            if scenario.pressed:
                press()
            pieces: list[str] = []
            for piece in session.stream():
                pieces.append(piece)
                if scenario.cut and len(pieces) == 2:
                    break
            assert not any(session.expert_counts.values()), "all experts are in memory"
        return "".join(pieces)


def _begin(
    generator: TransformersGenerator, scenario: Scenario, messages: list[Message], caller: Caller
) -> NativeSession:
    bare = [Message("user", scenario.bare)] if scenario.bare else None
    sampling = scenario.sampling
    if scenario.shares:  # a model without experts has no such weak side by itself
        sampling = replace(sampling, contrast=None)
    session = generator.begin(messages, sampling, caller.should_stop, without_passages=bare)
    assert isinstance(session, NativeSession), "it runs on our engine"
    sequence = session._sequence
    sequence.outputs = Outputs()
    if scenario.shares:
        tokens = list(sequence.tokens)
        sequence.weak = WeakSequence(tokens, shared_tokens=len(tokens) - 20)
        assert sequence.sampler is not None, "it samples"
        sequence.sampler._contrast = scenario.sampling.contrast
    if scenario.patterned:
        pattern = ExpertPattern("pattern", torch.zeros(0, 0, dtype=torch.bool))
        sequence.policy = replace(sequence.policy, pattern=pattern)
    return session


def _score(
    generator: TransformersGenerator,
    messages: list[Message],
    follow: Callable[[SequenceState], None],
) -> str:
    network = generator._network
    assert isinstance(network, NativeNetwork), "it runs on our engine"
    tokens = generator._chat.encode(messages)
    sequence = network.new_cache()
    try:
        sequence.outputs = Outputs()
        follow(sequence)
        network.forward(tokens[:-3], sequence, watched=True)
        return str(int(network.forward(tokens[-3:], sequence).logits.argmax()))
    finally:
        network.free(sequence)


def state_of(sequence: SequenceState | None, scheduler: Scheduler, *, drafts: bool) -> str:
    """Name the state of a sequence.

    :param drafts: whether its last step has draft tokens.
    """
    if sequence is None:
        return "opening"
    status = sequence.status
    if status is Status.CLOSED:
        return "closing" if sequence in scheduler.sequences else "closed"
    if sequence not in scheduler.sequences:
        return "opening"
    if status is not Status.DRAWING and not sequence.pages:
        return "preempted" if sequence.generated else "waiting"
    return "drafting" if status is Status.DECODING and drafts else status.value
