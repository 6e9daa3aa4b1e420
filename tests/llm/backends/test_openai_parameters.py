"""Parameters of requests, less those that a server's errors name."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Sampling
from expertrag.llm.backends.openai_parameters import RequestParameters

_WHERE = "gpu-1:8000"


def _error(status: int, message: str, param: str | None = None) -> openai.APIStatusError:
    response: Any = httpx.Response(status, request=httpx.Request("POST", "http://gpu-1:8000/v1"))
    return openai.APIStatusError(message, response=response, body={"param": param})


@pytest.mark.parametrize(
    ("error", "refused"),
    {
        "OpenAI, reasoning": (
            _error(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                "max_tokens",
            ),
            "max_tokens",
        ),
        "OpenAI, no name": (
            _error(400, "Unsupported value: 'temperature' does not support 0 with this model."),
            "temperature",
        ),
        "OpenAI, log probabilities": (
            _error(403, "You are not allowed to request logprobs from this model"),
            "logprobs",
        ),
        "pydantic": (_error(422, "seed: Extra inputs are not permitted"), "seed"),
        "vLLM, prompt over the context": (
            _error(
                400,
                "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum "
                "context length is 4096 tokens and your request has 100 input tokens",
                "max_tokens",
            ),
            None,
        ),
        "another field": (_error(400, "Unsupported parameter: 'messages'", "messages"), None),
        "forbidden": (_error(403, "temperature: not allowed in your country"), "temperature"),
        "no capacity": (_error(503, "temperature is not supported"), None),
    }.values(),
)
def test_errors_that_name_a_parameter(error: openai.APIStatusError, refused: str | None) -> None:
    parameters = RequestParameters()
    first = parameters.of(Sampling(), _WHERE)
    assert parameters.learn(error, first, _WHERE) is (refused is not None)
    # another request that was on its way is sent again as well, but none fails twice for it
    assert parameters.learn(error, first, _WHERE) is (refused is not None)
    assert not parameters.learn(error, parameters.of(Sampling(), _WHERE), _WHERE)
    everything = {"max_tokens", "temperature", "seed", "logprobs", "top_logprobs"}
    sent = parameters.of(Sampling(), _WHERE).keys()
    assert everything - sent == {
        None: set(),
        "logprobs": {"logprobs", "top_logprobs"},
    }.get(refused, {refused})


@pytest.mark.parametrize(
    ("name", "sampling"),
    [
        ("temperature", Sampling(temperature=0.5)),
        ("top_p", Sampling(top_p=0.5)),
        ("seed", Sampling(seed=1)),
        ("frequency_penalty", Sampling(frequency_penalty=0.5)),
        ("logprobs", Sampling(logprobs=0)),
    ],
)
def test_a_refused_parameter_that_the_caller_set(name: str, sampling: Sampling) -> None:
    parameters = RequestParameters()
    sent = parameters.of(sampling, _WHERE)
    assert parameters.learn(_error(400, f"{name} is not supported"), sent, _WHERE)
    with pytest.raises(InvalidArgument, match=rf"{name}: the model server gpu-1:8000 refuses it"):
        parameters.of(sampling, _WHERE)
    assert name not in parameters.of(Sampling(), _WHERE)


def test_the_session_applies_stop_strings_that_a_server_refuses() -> None:
    parameters = RequestParameters()
    sampling = Sampling(stop=("a", "b", "c", "d", "e"))
    sent = parameters.of(sampling, _WHERE)
    assert sent["stop"] == ["a", "b", "c", "d"]
    parameters.learn(_error(400, "'stop' is not supported with this model", "stop"), sent, _WHERE)
    assert "stop" not in parameters.of(sampling, _WHERE)
