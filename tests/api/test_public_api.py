"""The public names of the package, and what importing it loads."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import is_dataclass

import pytest

import expertrag
from expertrag.api import embed, errors, info, logprobs, tls, types
from expertrag_common.extras import install_command

HEAVY = {
    "grpc",
    "google.protobuf",
    "numpy",
    "torch",
    "faiss",
    "transformers",
    "llguidance",
    "structlog",
}


def test_all_is_sorted_and_importable() -> None:
    assert expertrag.__all__ == sorted(expertrag.__all__)
    for name in expertrag.__all__:
        assert getattr(expertrag, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        expertrag.Klient  # noqa: B018 - the access is the test


@pytest.mark.parametrize(
    "name",
    ["expertrag", "expertrag.llm", "expertrag_index", "expertrag_kernels", "expertrag_retriever"],
)
def test_names_that_are_loaded_on_first_use_are_listed(name: str) -> None:
    script = f"import {name} as package; print(*set(package.__all__) - set(dir(package)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_all_has_every_value_object_and_error() -> None:
    public = set(expertrag.__all__)
    assert set(types.__all__) - {"Scalar"} <= public
    for module in (embed, info, logprobs, tls):
        names = {name for name, item in vars(module).items() if is_dataclass(item)}
        assert names - {"ReplicaStatus"} <= public
    kinds = errors.ExpertRAGError.__subclasses__()
    assert {"ExpertRAGError", *(kind.__name__ for kind in kinds)} <= public


def loaded_by(statement: str) -> set[str]:
    """Return which heavy modules a statement loads in a fresh interpreter."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return HEAVY & set(run.stdout.split())


def test_importing_loads_nothing_heavy() -> None:
    names = "from expertrag import Answer, GateMode, NotFound, fold"
    others = "import expertrag_retriever, expertrag_index, expertrag_kernels"
    assert loaded_by(f"{names}; {others}") == set()


def test_the_sdk_needs_grpc_and_protobuf_only(tmp_path: object) -> None:
    statement = f"from expertrag import Client; Client('localhost:1'); Client({str(tmp_path)!r})"
    assert loaded_by(statement) == {"grpc", "google.protobuf"}


def test_a_missing_extra_names_its_fix(tmp_path: object) -> None:
    script = (
        "import sys; sys.modules['torch'] = sys.modules['numpy'] = None\n"
        "from expertrag import Client, MissingExtra\n"
        f"try: Client({str(tmp_path)!r}).stats()\n"
        "except MissingExtra as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip().endswith(f"run: {install_command('server')}")
    assert len(run.stdout.splitlines()) == 1
