"""The routing and the contrast of a request, on models of every kind."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from file_helper import change_json
from model_fixtures import TinyFolder, text_of

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Sampling
from expertrag.llm import Message, load_generator
from expertrag.llm.backends.routing import refuse_on_a_server
from expertrag.llm.backends.transformers_backend import TransformersGenerator

_QUESTION = [Message("user", "What is the harbour for?")]
_LONGER = [Message("user", "The harbour is for fish.\n\nQuestion: What is the harbour for?")]
_DRAWN = Sampling(max_tokens=40, temperature=1.0, frequency_penalty=0.0)
_ROUTING = Contrast(WeakSide.ROUTING, beta=4.0, plausibility=0.001)
_BARE = replace(_ROUTING, weak=WeakSide.NO_PASSAGES)
_BASE = replace(_ROUTING, weak=WeakSide.BASE)


def _text(generator: Any, sampling: Sampling, domain: str | None = None, **options: Any) -> str:
    generator.check(sampling)
    policy = generator.make_policy(sampling, domain)
    return text_of(generator.begin(_LONGER, sampling, policy=policy, **options))


@pytest.fixture(scope="module")
def with_experts(tiny_folder: TinyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture with one expert per sequence, and a base."""
    folder = shutil.copytree(tiny_folder("mixtral"), tmp_path_factory.mktemp("named") / "model")
    names = ["law", "shared", "finance", "science", "base"]
    change_json(folder / "config.json", expert_names=names)
    return folder


def test_a_request_or_the_server_chooses_the_routing(
    tiny: TransformersGenerator, tiny_folder: TinyFolder
) -> None:
    one = replace(_DRAWN, routing="top_k:1")
    own, fewer = _text(tiny, _DRAWN), _text(tiny, one)
    assert own != fewer
    folder = str(tiny_folder("mixtral"))
    server = load_generator(folder, dtype="float32", routing="top_k:1")
    assert _text(server, _DRAWN) == fewer
    assert _text(server, replace(_DRAWN, routing="model")) == own
    assert _text(server, replace(_DRAWN, routing="top_p:1")) == own


def _used(generator: Any, sampling: Sampling) -> float:
    """Experts a token of an answer, in a layer with a router."""
    before = generator.counters()
    _text(generator, sampling)
    after = generator.counters()
    experts, tokens = (after[name] - before[name] for name in ("routed_experts", "routed_tokens"))
    found: float = experts / tokens
    return found


def test_experts_of_tokens_are_counted(tiny: TransformersGenerator) -> None:
    assert _used(tiny, _DRAWN) == 2
    assert _used(tiny, replace(_DRAWN, routing="top_k:1")) == 1
    assert 1 < _used(tiny, replace(_DRAWN, routing="threshold:0.25")) < 2


def test_a_request_chooses_how_many_null_experts_there_are(
    tiny: TransformersGenerator, tiny_folder: TinyFolder
) -> None:
    folder = str(tiny_folder("qwen2_moe with null experts"))
    nulls = load_generator(folder, dtype="float32")
    own = _text(nulls, _DRAWN)
    assert _text(nulls, replace(_DRAWN, routing="null:3")) == own
    assert _used(nulls, _DRAWN) < 1.9
    assert _used(nulls, replace(_DRAWN, routing="null:0")) == 2
    assert _text(load_generator(folder, dtype="float32", routing="null:3"), _DRAWN) == own
    use = nulls.weights()
    assert use is not None
    assert (use.experts, use.top_k) == (5, 2)
    with pytest.raises(
        InvalidArgument, match=r"routing: null:4 is too many: .* has 3 null experts"
    ):
        nulls.check(replace(_DRAWN, routing="null:4"))
    with pytest.raises(InvalidArgument, match=r"null:N needs a mixture with null experts: .* none"):
        tiny.check(replace(_DRAWN, routing="null:0"))
    weak = replace(_ROUTING, routing="null:4")
    with pytest.raises(InvalidArgument, match="contrast: null:4 is too many"):
        nulls.check(replace(_DRAWN, contrast=weak))
    with pytest.raises(InvalidArgument, match="routing: null:4 is too many"):
        load_generator(folder, dtype="float32", routing="null:4")


def test_every_weak_side_changes_the_answer(
    tiny: TransformersGenerator, with_experts: Path
) -> None:
    own = _text(tiny, _DRAWN)
    assert _text(tiny, replace(_DRAWN, contrast=_ROUTING)) != own
    bare = replace(_DRAWN, contrast=_BARE)
    assert _text(tiny, bare, without_passages=_QUESTION) != own
    assert _text(tiny, bare) == own  # a prompt without passages
    named = TransformersGenerator.load(str(with_experts), dtype="float32")
    law: dict[str, Any] = {"domain": "law", "from_passages": True}
    base = replace(_DRAWN, contrast=_BASE)
    assert _text(named, base, **law) != _text(named, _DRAWN, **law)
    assert _text(named, base) == _text(named, _DRAWN)  # the base itself


def test_the_signals_are_those_of_the_strong_side(tiny: TransformersGenerator) -> None:
    plain = tiny.begin(_LONGER, _DRAWN)
    contrasted = tiny.begin(_LONGER, replace(_DRAWN, contrast=_ROUTING))
    first, second = plain.peek(1), contrasted.peek(1)
    assert first is not None
    assert second == first
    for session in (plain, contrasted):
        session.close()


def test_a_peek_changes_no_token(tiny: TransformersGenerator) -> None:
    sampling = replace(_DRAWN, contrast=_ROUTING)
    session = tiny.begin(_LONGER, sampling)
    assert session.peek(3) is not None
    assert text_of(session) == _text(tiny, sampling)


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (replace(_DRAWN, routing="best"), "routing: must be model, top_k:K"),
        (
            replace(_DRAWN, contrast=replace(_ROUTING, routing="top_p:2")),
            "contrast.routing: must be model, top_k:K",
        ),
        (replace(_DRAWN, contrast=_BASE), "contrast: base needs a reader with experts, and"),
    ],
)
def test_what_a_mixture_cannot_follow_is_refused(
    tiny: TransformersGenerator, sampling: Sampling, message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        tiny.check(sampling)
    with pytest.raises(InvalidArgument, match=message):
        tiny.begin(_QUESTION, sampling)


@pytest.mark.parametrize(
    "sampling", [replace(_DRAWN, routing="top_k:1"), replace(_DRAWN, contrast=_ROUTING)]
)
def test_other_models_say_what_they_lack(
    tiny_left: TransformersGenerator,
    with_experts: Path,
    sampling: Sampling,
) -> None:
    named = TransformersGenerator.load(str(with_experts), dtype="float32")
    with pytest.raises(InvalidArgument, match="needs a mixture whose routers choose experts"):
        named.check(sampling)
    with pytest.raises(InvalidArgument, match=r"needs a model on our engine, and .* transformers"):
        tiny_left.check(sampling)
    with pytest.raises(InvalidArgument, match="needs a model on our engine, not on a server"):
        refuse_on_a_server(sampling)


def test_a_server_starts_with_a_routing_that_its_model_follows(
    with_experts: Path, tiny_folder: TinyFolder
) -> None:
    with pytest.raises(InvalidArgument, match="routing: needs a mixture"):
        load_generator(str(with_experts), dtype="float32", routing="top_k:1")
    with pytest.raises(InvalidArgument, match="routing: must be model"):
        load_generator(str(tiny_folder("mixtral")), dtype="float32", routing="best")
    with pytest.raises(InvalidArgument, match="routing: it needs a model on our own engine"):
        load_generator("openai:http://127.0.0.1:1/v1#model", routing="top_k:1")
