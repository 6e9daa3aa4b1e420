"""Configuration: defaults, precedence, unknown keys, printing."""

from __future__ import annotations

import tomllib
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.api.types import AnswerRequest
from expertrag.config import Config, ServiceConfig, Setting, load, render, settings, table


def write(folder: Path, text: str) -> Path:
    file = folder / "expertrag.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults() -> None:
    config = load(environ={}).config
    assert config == Config()
    assert config.service == ServiceConfig()
    assert config.service.address == "127.0.0.1:50051"
    assert config.search.k == AnswerRequest(question="?").k
    with pytest.raises(FrozenInstanceError):
        config.index = "x"  # type: ignore[misc]


def test_flag_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = write(tmp_path, 'index = "f"\n[service]\nqueue_depth = 1\nmetrics_port = 1\ndrain_s = 1')
    environ = {
        "EXPERTRAG_SERVICE_METRICS_PORT": "2",
        "EXPERTRAG_SERVICE_DRAIN_S": "2.5",
        "EXPERTRAG_SERVICE_REFLECTION": "yes",
        "EXPERTRAG_LOG_LEVEL": "",  # empty is unset
    }
    loaded = load(file, flags={"service.drain_s": 3.0}, environ=environ)
    service = loaded.config.service
    assert (service.queue_depth, service.metrics_port, service.drain_s) == (1, 2, 3.0)
    assert service.reflection is True
    assert loaded.origins == {
        "index": f"file {file}",
        "service.queue_depth": f"file {file}",
        "service.metrics_port": "environment EXPERTRAG_SERVICE_METRICS_PORT",
        "service.drain_s": "flag --drain-s",
        "service.reflection": "environment EXPERTRAG_SERVICE_REFLECTION",
    }


def test_the_file_can_be_set_by_the_environment(tmp_path: Path) -> None:
    file = write(tmp_path, "[search]\nk = 9\n")
    assert load(environ={"EXPERTRAG_CONFIG": str(file)}).config.search.k == 9
    with pytest.raises(NotFound, match="no configuration file"):
        load(environ={"EXPERTRAG_CONFIG": str(tmp_path / "other.toml")})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[service]\nadress = 'x'\n", r"service\.adress: unknown key .*service\.address\?"),
        ("[servce]\naddress = 'x'\n", r"servce: unknown key .*did you mean service\?"),
        ("k = 3\n", "k: unknown key"),
        ("model = 'x'\n", r"model: is a section .*write \[model\]"),
        ("[search]\nk = '3'\n", r"search\.k: is '3'; give a whole number \(from file"),
        ("[search]\nk = true\n", r"search\.k: is True; give a whole number"),
        ("[search]\nk = 1001\n", r"search\.k: is 1001; choose 1 to 1000"),
        ("[gate]\nthreshold = nan\n", r"gate\.threshold: is nan; choose 0 to 1"),
        ("[log]\nlevel = 'loud'\n", r"log\.level: is 'loud'; choose one of debug, info"),
        ("[model]\nembedder = ''\n", r"model\.embedder: is empty"),
        ("[service]\nmax_deadline_s = 1\n", r"default_deadline_s: is 30, over max_deadline_s 1"),
        ("[model]\nrouting = 'top_k:1'\n", r"model\.routing: .*; it is now lab\.routing"),
        ("[service\n", "is not valid TOML"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        load(write(tmp_path, text), environ={})
    assert "\n" not in caught.value.message


def test_folders_and_binary_files_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="cannot read"):
        load(tmp_path, environ={})
    (tmp_path / "bytes.toml").write_bytes(b"index = '\xff'")
    with pytest.raises(InvalidArgument, match="not valid TOML"):
        load(tmp_path / "bytes.toml", environ={})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("EXPERTRAG_SERVICE_ADRESS", "did you mean EXPERTRAG_SERVICE_ADDRESS?"),
        ("EXPERTRAG_MODEL_NAME", "unknown environment variable"),
        ("EXPERTRAG_INDX", "did you mean EXPERTRAG_INDEX?"),
    ],
)
def test_misspelt_variables(name: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        load(environ={name: "x"})
    assert name in caught.value.message
    assert message in caught.value.message


@pytest.mark.parametrize("setting", [item for item in settings() if item.has_own_variable])
def test_flags_that_became_settings_keep_their_variables(setting: Setting) -> None:
    loaded = load(environ={setting.env: setting.choices[0] if setting.choices else "1"})
    assert loaded.origins == {setting.key: f"environment {setting.env}"}
    assert not setting.env.startswith(f"EXPERTRAG_{setting.section.upper()}_")


def test_assignments_rank_with_flags(tmp_path: Path) -> None:
    file = write(tmp_path, "[model]\ncache_mib = 1\n[service]\nreflection = false\n")
    environ = {"EXPERTRAG_MODEL_CACHE_MIB": "2"}
    assigned = {"model.cache_mib": "3", "service.reflection": "yes", "gate.threshold": "0.5"}
    loaded = load(file, assigned=assigned, environ=environ)
    config = loaded.config
    assert (config.model.cache_mib, config.service.reflection) == (3, True)
    assert config.gate.threshold == 0.5
    assert loaded.origins["model.cache_mib"] == "flag --set model.cache_mib"
    with pytest.raises(InvalidArgument, match=r"search\.k: is 'x'; .*from flag --set search\.k"):
        load(assigned={"search.k": "x"}, environ={})


def test_a_whole_number_of_any_size_is_checked() -> None:
    with pytest.raises(InvalidArgument, match=r"search\.k: is 1000+; choose 1 to 1000"):
        load(assigned={"search.k": "1" + "0" * 400}, environ={})


def test_other_variables_are_ignored() -> None:
    names = (
        "EXPERTRAG_CACHE",
        "EXPERTRAG_DEBUG",
        "EXPERTRAG_OPENAI_API_KEY",
        "EXPERTRAG_MODE",
        "EXPERTRAG_EVAL_MAX_TOKENS",
    )
    assert load(environ=dict.fromkeys(names, "x")).config == Config()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("EXPERTRAG_SEARCH_K", "many"),
        ("EXPERTRAG_SERVICE_REFLECTION", "maybe"),
        ("EXPERTRAG_GATE_THRESHOLD", "2"),
    ],
)
def test_wrong_variables_are_named(name: str, text: str) -> None:
    with pytest.raises(InvalidArgument, match=f"from environment {name}"):
        load(environ={name: text})


@given(st.text(min_size=1), st.floats(0, 1), st.booleans())
def test_printed_values_can_be_read(index: str, threshold: float, writes: bool) -> None:
    flags = {"index": index, "gate.threshold": threshold, "service.allow_writes": writes}
    text = render(load(flags=flags, environ={}))
    values = tomllib.loads(text)
    assert values["index"] == index
    assert values["gate"]["threshold"] == threshold
    assert values["service"]["allow_writes"] is writes


def test_printing_gives_every_origin_and_reads_back(tmp_path: Path) -> None:
    first = load(flags={"search.k": 7}, environ={"EXPERTRAG_MODEL_DEVICE": "cpu"})
    text = render(first)
    assert "k = 7  # flag -k" in text
    assert 'device = "cpu"  # environment EXPERTRAG_MODEL_DEVICE' in text
    assert "# threshold =  # default" in text
    assert load(write(tmp_path, text), environ={}).config == first.config


def test_every_option_is_derived() -> None:
    found = settings()
    assert len({item.env for item in found}) == len({item.flag for item in found}) == len(found)
    assert all(item.help for item in found)
    assert not any("_" in item.flag for item in found)
    sections = [item for item in fields(Config) if item.name != "index"]
    assert {item.section for item in found} == {"", *(section.name for section in sections)}
    assert all(f"`{item.env}`" in table(()) for item in found)
