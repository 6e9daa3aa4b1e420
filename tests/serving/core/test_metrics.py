"""The metrics as scraped by Prometheus."""

from __future__ import annotations

import socket
import urllib.request
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from model_server import ModelServer
from serving_fixtures import StartServer, wait_until

from expertrag.answer.assemble import open_pipeline
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.events import GateEvent
from expertrag.api.types import GateAction, GateDecision, GateMode, QuestionScope
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.client import Client
from expertrag.config import AuthConfig, Config, LabConfig
from expertrag.llm.load.packing import pack_folder
from expertrag.serving.core.metrics import Metrics
from expertrag_index.types import silent


@pytest.fixture
def port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def scrape(port: int) -> dict[str, float]:
    """Return every sample by its name with labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def test_questions_are_counted_by_scope() -> None:
    metrics = Metrics()
    decision = GateDecision(GateAction.RETRIEVE, GateMode.AUTO, "it counts")
    for scope in (QuestionScope.COUNT, QuestionScope.COUNT, QuestionScope.LIST, None):
        metrics.observe(GateEvent(replace(decision, scope=scope)))
    value = metrics.registry.get_sample_value
    assert value("expertrag_questions_total", {"scope": "count"}) == 2
    assert value("expertrag_questions_total", {"scope": "list"}) == 1
    assert value("expertrag_questions_total", {"scope": "lookup"}) is None


def test_scrape(start_server: StartServer, port: int) -> None:
    server = start_server(metrics_port=port)
    with Client(server.address) as client:
        client.answer("How often does a checkpoint run?", mode="always", max_tokens=7)
        client.answer("What is two and two?", mode="never", max_tokens=5)
        with pytest.raises(InvalidArgument):
            client.retrieve("")
    failed = 'expertrag_calls_total{code="INVALID_ARGUMENT",method="RetrieveService/Retrieve"}'
    wait_until(lambda: failed in scrape(port))  # a call is counted after its response is sent
    samples = scrape(port)
    assert samples['expertrag_calls_total{code="OK",method="AnswerService/Answer"}'] == 2
    assert samples[failed] == 1
    assert samples['expertrag_call_seconds_count{method="AnswerService/Answer"}'] == 2
    assert samples['expertrag_gate_total{action="retrieve",mode="always"}'] == 1
    assert samples['expertrag_gate_total{action="closed_book",mode="never"}'] == 1
    assert samples['expertrag_tokens_total{kind="completion"}'] == 12
    assert samples['expertrag_stage_seconds_count{stage="search"}'] == 1
    assert samples["expertrag_in_flight"] == 0
    assert samples["expertrag_waiting"] == 0
    assert samples["expertrag_in_flight_bytes"] == 0
    assert samples["expertrag_open_collections"] == 1
    assert samples["expertrag_index_generation"] == 1
    assert samples["expertrag_index_documents"] == 18
    assert samples["expertrag_index_chunks"] >= 18


def test_engine_counters_are_exported(
    start_server: StartServer, built_store: Path, model_config: Config, port: int
) -> None:
    server = start_server(
        lambda: open_pipeline(replace(model_config, index=str(built_store))), metrics_port=port
    )
    with Client(server.address) as client:
        question = "How often does a checkpoint run?"
        first, again = (
            client.answer(question, mode="always", max_tokens=7).usage for _ in range(2)
        )
    assert first.cached_prompt_tokens < again.cached_prompt_tokens < again.prompt_tokens
    assert again.prompt_tokens == first.prompt_tokens
    samples = scrape(port)
    of = {name: samples[f'expertrag_engine_total{{what="{name}"}}'] for name in ("steps", "rows")}
    assert 0 < of["steps"] < of["rows"]
    assert samples['expertrag_engine_total{what="cached_tokens"}'] > 0


def test_experts_that_are_read_from_the_file_are_counted(
    start_server: StartServer,
    built_store: Path,
    model_config: Config,
    smollm_path: Path,
    tmp_path: Path,
    port: int,
) -> None:
    pack_folder(str(smollm_path), "int8", tmp_path / "packed", silent)
    usages = {}
    for limit in (110, 0):
        model = replace(model_config.model, generator=str(tmp_path / "packed"), dtype="auto")
        lab = LabConfig(weights_mib=limit)
        config = replace(model_config, index=str(built_store), model=model, lab=lab)
        server = start_server(partial(open_pipeline, config), metrics_port=port if limit else 0)
        with Client(server.address) as client:
            answer = client.answer("How often does a checkpoint run?", mode="always", max_tokens=7)
        usages[limit] = answer.text, answer.usage
    (text, usage), (wanted, unlimited) = usages[110], usages[0]
    assert text == wanted
    assert unlimited.expert_hits == unlimited.expert_misses == unlimited.expert_bytes_read == 0
    samples = scrape(port)
    for name in ("expert_hits", "expert_misses", "expert_bytes_read"):
        exported = samples[f'expertrag_engine_total{{what="{name}"}}']
        assert 0 < getattr(usage, name) <= exported
    assert samples['expertrag_engine_total{what="expert_stalled_ms"}'] >= usage.expert_stalled_ms


def test_model_servers_are_exported(
    start_server: StartServer, built_store: Path, model_config: Config, port: int
) -> None:
    servers = ModelServer(), ModelServer()
    try:
        name = f"openai:{servers[0].url},{servers[1].url}#tiny"
        config = replace(
            model_config, index=str(built_store), model=replace(model_config.model, generator=name)
        )
        server = start_server(lambda: open_pipeline(config), metrics_port=port)
        servers[1].kill()
        with Client(server.address) as client:
            for _ in range(8):
                assert client.answer("What is two and two?", mode="never").text == "Paris it is."

        def figures(index: int) -> list[float]:
            where = servers[index].where
            names = ("requests_total", "failures_total", "outstanding", "healthy")
            found = scrape(port)
            return [found[f'expertrag_endpoint_{name}{{endpoint="{where}"}}'] for name in names]

        assert figures(0) == [8, 0, 0, 1]
        wait_until(lambda: figures(1)[3] == 0, timeout=30)
        requests, failures, outstanding, _ = figures(1)
        assert requests == failures > 0 and outstanding == 0
    finally:
        for one in servers:
            one.kill()


def test_metrics_stay_on_this_machine(start_server: StartServer, port: int, tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    tokens.create("ci", frozenset({Scope.READ}))
    auth = AuthConfig(tokens=str(tokens.path), insecure=True)
    start_server(address="0.0.0.0:0", auth=auth, metrics_port=port)
    assert scrape(port)
    with socket.create_server(("127.0.0.2", port)):
        pass  # the metrics do not listen at every address


def test_the_port_is_freed(start_server: StartServer, port: int, background: object) -> None:
    first = start_server(metrics_port=port)
    with pytest.raises(Conflict, match="--metrics-port") as caught:
        start_server(metrics_port=port)
    assert caught.value.reason == "ADDRESS_IN_USE"
    background.run(first.stop())  # type: ignore[attr-defined]
    start_server(metrics_port=port)
