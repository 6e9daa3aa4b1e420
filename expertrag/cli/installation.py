"""Diagnose this machine and installation, with a fix for everything that is missing.

Works with the base install alone: no optional part is assumed to be there.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from expertrag import models
from expertrag._version import __version__
from expertrag.api.errors import ExpertRAGError, NotFound
from expertrag.config import load
from expertrag.models import choice
from expertrag_common.cores import available_cores
from expertrag_common.extras import install_command

CPU_FEATURES = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "sve")
USER_EXTRAS = ("server", "gpu", "langchain")


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. ``absent`` is an optional part; ``missing`` and ``damaged`` are faults."""

    area: str
    name: str
    status: Literal["ok", "absent", "missing", "damaged"]
    detail: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, in print order."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether no finding is a fault."""
        return all(finding.status in ("ok", "absent") for finding in self.findings)


def diagnose() -> Diagnosis:
    """Run all checks; reads every file of the pulled models to compare checksums."""
    parts = (_system, _configuration, _packages, _compute, _models, _model_servers)
    return Diagnosis(tuple(finding for part in parts for finding in part()))


def _system() -> Iterator[Finding]:
    yield Finding("system", "expertrag", "ok", __version__)
    yield Finding("system", "python", "ok", f"{platform.python_version()} at {sys.prefix}")
    yield Finding("system", "platform", "ok", platform.platform())
    name, features = _cpu()
    yield Finding("system", "cpu", "ok", f"{name}; {' '.join(features) or 'features unknown'}")
    yield Finding("system", "cores", "ok", f"{available_cores()} usable of {os.cpu_count()}")
    yield Finding("system", "memory", "ok", _memory())


def _cpu() -> tuple[str, list[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine(), []
    name = re.search(r"^(?:model name|Processor)\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    known = set(flags.group(1).split()) if flags else set()
    label = name.group(1) if name else platform.machine()
    return label, [feature for feature in CPU_FEATURES if feature in known]


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = f"{total / 2**30:.1f} GiB"
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return text
    if limit.isdigit() and int(limit) < total:
        return f"{int(limit) / 2**30:.1f} GiB (the container's limit) of {text}"
    return text


def _configuration() -> Iterator[Finding]:
    try:
        load()
    except ExpertRAGError as error:
        yield Finding("configuration", "settings", "missing", error.message, "correct that setting")
    else:
        yield Finding("configuration", "settings", "ok", "environment and file are valid")


def _packages() -> Iterator[Finding]:
    requirements = _requirements()
    yield from _group("base", requirements.get("", []), required=True)
    for extra in USER_EXTRAS:
        names = requirements.get(extra, [])
        present = [name for name in names if _version(name)]
        # An extra with no package was not requested; a partly installed one is broken.
        yield from _group(extra, names, required=extra == "server" and len(present) > 3)


def _group(extra: str, names: list[str], *, required: bool) -> Iterator[Finding]:
    cure = install_command(*(extra,) * (extra != "base"))
    area = f"packages: {extra}"
    absent = [name for name in names if not _version(name)]
    for name in names:
        version = _version(name)
        if version:
            yield Finding(area, name, "ok", version)
        elif required:
            yield Finding(area, name, "missing", "not installed", cure)
    if absent and not required:
        yield Finding(area, "extra", "absent", f"not installed: {', '.join(absent)}", cure)


def _requirements() -> dict[str, list[str]]:
    """Return the names of required packages by extra ("" is the base install)."""
    requirements: dict[str, list[str]] = {}
    for line in metadata.requires("expertrag") or []:
        requirement, _, marker = line.partition(";")
        name = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        if name:
            requirements.setdefault(extra.group(1) if extra else "", []).append(name.group(0))
    return requirements


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _compute() -> Iterator[Finding]:
    yield _probe("torch", _torch)
    yield _probe("gpu", _gpu)
    yield _probe("faiss", _faiss)
    yield _probe("experts kernel", _kernel)
    yield _probe("encoder kernel", _encoder_kernel)


def _probe(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding("compute", name, "ok", look())
    except ModuleNotFoundError as error:
        cure = install_command("server")
        return Finding("compute", name, "absent", f"{error.name} is not installed", cure)
    except Exception as error:  # a broken wheel raises anything from OSError to RuntimeError
        detail = f"cannot be used: {type(error).__name__}: {' '.join(str(error).split())}"
        cure = install_command("server", option="--force-reinstall")
        return Finding("compute", name, "missing", detail, cure)


def _torch() -> str:
    torch = importlib.import_module("torch")
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{torch.__version__}, {torch.get_num_threads()} threads, {capability}"


def _gpu() -> str:
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return ", ".join(f"{card.name} ({card.total_memory / 2**30:.0f} GiB)" for card in cards)
    if torch.backends.mps.is_available():
        return "Apple GPU (mps)"
    return "none; models run on the CPU"


def _faiss() -> str:
    faiss = importlib.import_module("faiss")
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    return f"{faiss.__version__}, {gpus} GPUs, {faiss.get_compile_options().strip()}"


def _kernel() -> str:
    """Return the implementation that a default call uses, after running it on one token."""
    torch = importlib.import_module("torch")
    kernels = importlib.import_module("expertrag_kernels")
    registry = importlib.import_module("expertrag_kernels.registry")
    x = torch.ones(1, 8)
    packed = kernels.pack(kernels.PlainExperts(torch.ones(2, 8, 8), torch.ones(2, 8, 4)))
    kernels.fused_experts(x, torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1), packed)
    isas = importlib.import_module("expertrag_kernels.cpu_experts").ISAS
    name = registry.choose(x, x, packed).name
    if isas:
        return f"{name}, compiled for {isas[0]}"
    return (
        f"{name} in torch, slower: no kernels were compiled; install a C++ compiler, then "
        "reinstall this package"
    )


def _encoder_kernel() -> str:
    """Return how BERT embedders run."""
    isas = importlib.import_module("expertrag_kernels.encoder").ISAS
    return f"compiled for {isas[0]}" if isas else "in torch: needs AVX512-BF16, and a C++ compiler"


def _models() -> Iterator[Finding]:
    try:
        listing = models.listing(thorough=True)
    except ExpertRAGError as error:
        yield Finding("models", "cache", "absent", error.message, install_command("server"))
        return
    needed = bool(_version("torch"))
    if needed:
        yield _default_generator()
    for model in listing:
        cure = f"expertrag models pull {model.name}"
        optional = not needed or model.name in (choice.LARGE, models.MULTILINGUAL)
        if model.state == "ready":
            yield Finding("models", model.name, "ok", f"checksums match, in {model.folder}")
        elif model.state == "missing" and optional:
            yield Finding("models", model.name, "absent", "not pulled", cure)
        else:
            problem = model.problem.removesuffix(f": run `{cure}`")
            yield Finding("models", model.name, model.state, problem, cure)


def _default_generator() -> Finding:
    """Report the generator that ``auto`` selects on this machine, and why."""
    name = "default generator"
    try:
        isas = importlib.import_module("expertrag_kernels.cpu_experts").ISAS
        chosen = models.choose(kernels=bool(isas))
    except NotFound as error:
        cure = f"expertrag models pull {models.recommend(kernels=bool(isas)).name}"
        problem = error.message.replace(f": run `{cure}`", "")
        return Finding("models", name, "missing", problem, cure)
    return Finding("models", name, "ok", f"{chosen.name}: {chosen.reason}", chosen.cure)


def _model_servers() -> Iterator[Finding]:
    """Ask the servers of the configured language model, if it is on any, what they serve."""
    try:
        prefix, _, name = load().config.model.generator.partition(":")
    except ExpertRAGError:  # reported with the configuration
        return
    if prefix != "openai":
        return
    try:
        backend = importlib.import_module("expertrag.llm.backends.openai_backend")
        _, model = backend.parse(name)
        servers = backend.survey(name)
    except ModuleNotFoundError as error:
        cure = install_command("server")
        yield Finding("model servers", "openai", "missing", f"{error.name} is not installed", cure)
        return
    except ExpertRAGError as error:
        yield Finding("model servers", "name", "missing", error.message, "correct --generator")
        return
    for where, said in servers.items():
        yield _model_server(where, model, said)


def _model_server(where: str, model: str, said: Any) -> Finding:
    if isinstance(said, ExpertRAGError):
        cure = "start it, or correct the URL in --generator"
        return Finding("model servers", where, "missing", said.message, cure)
    if said.models and model not in said.models:
        detail = f"serves {', '.join(said.models)}, not {model}"
        return Finding("model servers", where, "missing", detail, f"serve {model} there")
    context = f", context of {said.context_tokens} tokens" if said.context_tokens else ""
    return Finding("model servers", where, "ok", f"serves {model}{context}")
