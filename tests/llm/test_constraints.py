"""Constrained decoding: every kind of constraint, on the engine and in transformers."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
from model_fixtures import text_of
from transformers import AutoTokenizer

from expertrag.api.errors import Cancelled, InvalidArgument, Overloaded
from expertrag.api.events import DeltaEvent
from expertrag.api.types import Constraint, FinishReason, Sampling
from expertrag.llm import constraint_worker, constraints, prompt
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message
from expertrag.llm.constraints import Matcher, Vocabulary
from expertrag.llm.engine.native_network import NativeNetwork

_QUESTION = [Message("user", "Describe Paris.")]
_CHOICES = ("yes", "yes, sir", 'é "\\\n', "1/2 | not")
_SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["town", "village"]},
        "people": {"type": "integer", "minimum": 0, "maximum": 99},
        "old": {"type": "boolean"},
    },
    "required": ["kind", "people", "old"],
    "additionalProperties": False,
}
_LARK = 'start: "The " WORD (", " WORD)* "."\nWORD: /[a-z]{2,5}/'


def _is_json(text: str) -> bool:
    found = json.loads(text)
    assert json.dumps(found) == text  # one way to write it: no endless white space
    return (
        list(found) == ["kind", "people", "old"]
        and found["kind"] in ("town", "village")
        and 0 <= found["people"] <= 99
        and isinstance(found["old"], bool)
    )


_CASES: dict[str, tuple[Constraint, Callable[[str], object]]] = {
    "regex": (
        Constraint(regex=r"[A-Z][a-z]{3,8}, \d{4}"),
        lambda text: re.fullmatch(r"[A-Z][a-z]{3,8}, [0-9]{4}", text),
    ),
    "json_schema": (Constraint(json_schema=_SCHEMA), _is_json),
    "choices": (Constraint(choices=_CHOICES), lambda text: text in _CHOICES),
    "grammar": (
        Constraint(grammar=_LARK),
        lambda text: re.fullmatch(r"The [a-z]{2,5}(, [a-z]{2,5})*\.", text),
    ),
}


def _deltas(generator: TransformersGenerator, sampling: Sampling) -> list[DeltaEvent]:
    session = generator.begin(_QUESTION, sampling)
    session.peek(2)
    return list(session.deltas())


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("case", _CASES)
def test_every_kind_is_enforced(
    case: str, temperature: float, either: TransformersGenerator
) -> None:
    constraint, obeyed = _CASES[case]
    for seed in range(3):
        sampling = Sampling(64, temperature, seed, constraint=constraint)
        session = either.begin(_QUESTION, sampling)
        text = text_of(session)
        if session.finish_reason is FinishReason.STOP:  # a list may be longer than max_tokens
            assert obeyed(text), text
        else:
            assert case == "grammar"


def test_the_default_model_writes_json(smollm: TransformersGenerator) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "rivers": {"type": "array"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    question = [Message("user", "What is the capital of France? Answer in JSON.")]
    session = smollm.begin(question, Sampling(48, constraint=Constraint(json_schema=schema)))
    assert json.loads(text_of(session))["city"] == "Paris"
    assert session.finish_reason is FinishReason.STOP


@pytest.mark.parametrize(("max_tokens", "reason"), [(3, "length"), (4, "stop"), (5, "stop")])
def test_a_complete_sequence_ends(
    max_tokens: int, reason: str, either: TransformersGenerator
) -> None:
    digits = Constraint(regex="[0-9]{4}")  # each of them is a token
    session = either.begin(_QUESTION, Sampling(max_tokens, constraint=digits))
    session.peek(2)
    assert len(text_of(session)) == session.completion_tokens == min(max_tokens, 4)
    assert session.finish_reason == reason


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_draft_tokens_change_no_token(
    temperature: float, tiny: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(tiny._network, NativeNetwork)
    engine = tiny._network.engine
    constraints = [constraint for constraint, _ in _CASES.values()]
    wanted = [Sampling(32, temperature, 5, constraint=c, logprobs=3) for c in constraints]
    before = engine.counters.accepted_tokens
    guessing = [_deltas(tiny, sampling) for sampling in wanted]
    assert engine.counters.accepted_tokens > before  # what the grammar forces
    monkeypatch.setattr(engine._scheduler, "_speculate", False)
    assert [_deltas(tiny, sampling) for sampling in wanted] == guessing


def test_eight_concurrent_sequences_do_not_mix(tiny: TransformersGenerator) -> None:
    kinds = [*_CASES.values()] * 2
    samplings = [
        Sampling(32, 0.9, seed, constraint=constraint) for seed, (constraint, _) in enumerate(kinds)
    ]
    alone = [_deltas(tiny, sampling) for sampling in samplings]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(partial(_deltas, tiny), samplings)) == alone


def test_signals_do_not_depend_on_the_constraint(either: TransformersGenerator) -> None:
    free, held = (
        either.begin(_QUESTION, Sampling(8, constraint=constraint)).peek(1)
        for constraint in (None, Constraint(choices=_CHOICES))
    )
    assert free is not None and held is not None
    assert (held.margin, held.entropy) == (free.margin, free.entropy)


def test_stop_strings_end_a_constrained_sequence(either: TransformersGenerator) -> None:
    wanted = Constraint(choices=(f"one{prompt.NEXT_PASSAGE}two",))
    sampling = Sampling(32, constraint=wanted, stop=(prompt.NEXT_PASSAGE,))
    session = either.begin(_QUESTION, sampling)
    assert text_of(session) == "one"
    assert session.finish_reason is FinishReason.STOP


def test_a_too_complex_constraint_fails_its_session_only(either: TransformersGenerator) -> None:
    sampling = Sampling(32, constraint=Constraint(regex="(a?){3000}a{3000}"))
    refused = r"constraint\.regex: cannot be enforced \(lexer"
    with pytest.raises(InvalidArgument, match=refused) as caught:
        text_of(either.begin(_QUESTION, sampling))
    assert caught.value.metadata["field"] == "constraint.regex"
    constraint, obeyed = _CASES["choices"]
    assert obeyed(text_of(either.begin(_QUESTION, Sampling(32, constraint=constraint))))


def test_a_constraint_that_never_compiles_ends_with_its_process(
    tiny: TransformersGenerator,
) -> None:
    patterns = [{"pattern": f"(.*a.{{{20 + number}}}){{3}}"} for number in range(30)]
    endless = Constraint(json_schema={"type": "string", "allOf": patterns})
    before = time.process_time()
    for _ in range(2):
        with pytest.raises(InvalidArgument, match=r"json_schema: cannot .* over 1 s to compile"):
            tiny.check(Sampling(constraint=endless))
    assert time.process_time() - before < 1  # not in this process
    tiny.check(Sampling(constraint=_CASES["json_schema"][0]))


def test_a_caller_who_leaves_ends_the_process_that_compiles(smollm_path: Any) -> None:
    vocabulary = Vocabulary(AutoTokenizer.from_pretrained(smollm_path), [2])
    vocabulary.matcher(Constraint(choices=("ab",))).close()
    patterns = [{"pattern": f"(.*a.{{{20 + number}}}){{3}}"} for number in range(30)]
    endless = Constraint(json_schema={"type": "string", "allOf": patterns})
    asked = iter(range(3))

    def leave() -> None:
        if next(asked, None) is None:
            raise Cancelled("the caller cancelled")

    with pytest.raises(Cancelled):
        vocabulary.matcher(endless, leave)
    worker = vocabulary._worker
    assert worker is not None
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
    ends_at = time.monotonic() + 30
    while (running := children.read_text().split()) and time.monotonic() < ends_at:
        assert sum(map(_cpu_s, running)) < 0.7  # it has not reached its limit
        time.sleep(0.01)
    assert not running
    assert vocabulary.matcher(Constraint(choices=("a",))).find_allowed(49152).any()


def _cpu_s(process: str) -> float:
    """Return the CPU time of a process, 0 if it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_new_worker_takes_over_from_one_that_was_killed(smollm_path: Any) -> None:
    vocabulary = Vocabulary(AutoTokenizer.from_pretrained(smollm_path), [2])
    matcher = vocabulary.matcher(Constraint(choices=("ab",)))
    assert vocabulary._worker is not None
    vocabulary._worker._process.kill()
    vocabulary._worker._process.wait()
    assert matcher.find_allowed(49152).any()  # its own process goes on
    assert vocabulary.matcher(Constraint(choices=("a",))).find_allowed(49152).any()


@pytest.mark.parametrize(
    ("constraint", "field", "reason"),
    [
        (Constraint(regex="(ab"), "regex", "unclosed group"),
        (Constraint(regex="a(?=b)b"), "regex", "look-around"),
        (Constraint(json_schema={"type": "objct"}), "json_schema", "Invalid type: objct"),
        (Constraint(json_schema={"enum": []}), "json_schema", "Unsatisfiable schema"),
        (Constraint(json_schema={"not": {}}), "json_schema", "Unimplemented keys"),
        (Constraint(grammar="start: foo"), "grammar", 'unknown name: "foo"'),
        (Constraint(grammar="start: start"), "grammar", "NoExtension"),
    ],
)
def test_an_invalid_constraint_is_rejected_at_once(
    constraint: Constraint, field: str, reason: str, tiny: TransformersGenerator
) -> None:
    for ask in (tiny.check, lambda sampling: tiny.begin(_QUESTION, sampling)):
        with pytest.raises(InvalidArgument) as caught:
            ask(Sampling(constraint=constraint))
        assert caught.value.metadata["field"] == f"constraint.{field}"
        assert caught.value.message.startswith(f"constraint.{field}: cannot be enforced (")
        assert reason in caught.value.message and "\n" not in caught.value.message


def test_a_vocabulary_is_built_once_and_lazily(smollm_path: Any) -> None:
    vocabulary = Vocabulary(AutoTokenizer.from_pretrained(smollm_path), [2])
    assert vocabulary._worker is None
    matcher = vocabulary.matcher(Constraint(choices=("a",)))
    worker = vocabulary._worker
    assert vocabulary.matcher(Constraint(choices=("b",))) and vocabulary._worker is worker
    # a model may have more rows than its tokenizer has tokens, or fewer
    for rows in (100, 49152, 50000):
        assert matcher.find_allowed(rows).nonzero()[:, 0].tolist() == [81]


def test_a_system_without_a_process_for_a_constraint_is_overloaded(
    smollm_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = Vocabulary(AutoTokenizer.from_pretrained(smollm_path), [2])
    assert vocabulary.matcher(Constraint(choices=("a",)))
    worker = vocabulary._worker

    def fail(*_given: Any) -> Any:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(constraints, "Pipe", fail)
        with pytest.raises(Overloaded, match="no process for the constraint"):
            vocabulary.matcher(Constraint(choices=("b",)))
    assert vocabulary.matcher(Constraint(choices=("b",))) and vocabulary._worker is worker


def test_a_fork_that_fails_is_told_to_its_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = Pipe()

    def fail() -> int:
        raise BlockingIOError(errno.EAGAIN, "no process")

    monkeypatch.setattr("os.fork", fail)
    with ours, theirs:
        assert constraint_worker._fork(theirs) == -1
        with pytest.raises(Overloaded, match="no process for the constraint"):
            Matcher(ours, "constraint.regex", b"{}")


def test_a_process_that_has_no_memory_ends_alone(smollm_path: Any) -> None:
    vocabulary = Vocabulary(AutoTokenizer.from_pretrained(smollm_path), [2])
    other = vocabulary.matcher(Constraint(choices=("ab",)))
    matcher = vocabulary.matcher(Constraint(regex="[a-z]{1,100}"))
    worker = vocabulary._worker
    assert worker is not None
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text()
    process = max(map(int, children.split()))
    resource.prlimit(process, resource.RLIMIT_AS, (1 << 20, 1 << 20))
    with pytest.raises(InvalidArgument, match=r"constraint\.regex: cannot be enforced"):
        for _ in range(100):
            matcher.consume(int(matcher.find_allowed(49152).nonzero()[0, 0]))
    assert other.find_allowed(49152).any()
    other.consume(int(other.find_allowed(49152).nonzero()[0, 0]))
