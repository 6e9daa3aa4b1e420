"""Adapters as models of OpenAI's API: ``COLLECTION@ADAPTER``, and with a mode."""

from __future__ import annotations

import pytest
from http_fixtures import CHAT, Served, StartHttp, chat_body, error_of
from lora_fixtures import LoraBase
from serving_fixtures import OpenPipeline

from expertrag.api.types import GateMode
from expertrag.serving.http.openai.model_names import NamedModel


@pytest.fixture
def served(start_http: StartHttp, open_pipeline: OpenPipeline, lora_base: LoraBase) -> Served:
    return start_http(lambda: open_pipeline(lora_base.generator("legal")))


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("default", NamedModel("default")),
        ("default@legal", NamedModel("default", adapter="legal")),
        ("default:auto", NamedModel("default", GateMode.AUTO)),
        ("default@legal:strict", NamedModel("default", GateMode.STRICT, "legal")),
        ("acme/docs@v1.2:never", NamedModel("acme/docs", GateMode.NEVER, "v1.2")),
        ("@legal", NamedModel("", adapter="legal")),
    ],
)
def test_names(name: str, named: NamedModel) -> None:
    assert NamedModel.of(name) == named
    assert named.name == name


def test_models_with_adapters_are_listed(served: Served) -> None:
    names = [model["id"] for model in served.get("/v1/models").json()["data"]]
    modes = ("", ":auto", ":strict", ":always", ":never")
    assert names == [f"default{adapter}{mode}" for adapter in ("", "@legal") for mode in modes]
    assert served.get("/v1/models/default@legal:never").json()["id"] == "default@legal:never"


def test_a_model_with_an_adapter_answers(served: Served) -> None:
    base = served.post(CHAT, chat_body()).json()
    for name in ("default@legal:never", "@legal:never"):
        legal = served.post(CHAT, chat_body(model=name)).json()
        assert legal["model"] == name
        assert legal["expertrag"]["model"] == "base@legal"
        assert legal["choices"][0]["message"] != base["choices"][0]["message"]
    response = served.post(
        "/v1/responses",
        {"model": "default@legal:never", "input": "When?", "max_output_tokens": 16},
    )
    assert response.json()["status"] in ("completed", "incomplete"), response.text


def test_an_unknown_adapter_is_an_unknown_model(served: Served) -> None:
    response = served.post(CHAT, chat_body(model="default@medical"))
    assert response.status_code == 404
    error = error_of(response)
    assert (error["param"], error["code"]) == ("model", "model_not_found")
