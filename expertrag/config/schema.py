"""The configuration as frozen dataclasses: defaults, ranges and help stand here and nowhere else.

Flags, environment variables, the keys of a file and docs/config.md are derived from these fields.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import AnswerRequest

ENV_PREFIX = "EXPERTRAG_"
AUTO_EMBEDDER = "auto"
AUTO_GENERATOR = "auto"
AUTO_GATE = "auto"
AUTO_READER = "auto"
NO_READER = "none"
AUTO_PROBE = "auto"
NO_PROBE = "none"
TOGETHER = "together"
TRAINING_FREE = "training-free"


def option(
    default: object,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """Make a field; the type is that of the annotation (str, int, float, bool, float | None)."""
    limits = {"minimum": minimum, "maximum": maximum, "choices": tuple(choices)}
    return field(default=default, metadata={"help": help, **limits})


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Which models answer."""

    embedder: str = option(
        AUTO_EMBEDDER,
        "Embedder: package model, folder or hub id (sentence-transformers), or a bundle of domain "
        "experts; auto is the one that made the store, minilm-domains for a new one.",
    )
    generator: str = option(
        AUTO_GENERATOR,
        "Language model: package model, folder, GGUF file, hub id, or openai:URL#MODEL; auto is "
        "qwen2.5-coder-1.5b-instruct where 6 GiB of memory are available, else "
        "smollm2-135m-reader.",
    )
    reader: str = option(
        NO_READER,
        "Reader that runs beside the language model and answers from passages: a folder of "
        "`expertrag train reader`; auto is the one that is shipped for the model, if any; none "
        "runs the model alone.",
    )
    probe: str = option(
        AUTO_PROBE,
        "Probe that tells from the language model's hidden states whether the passages hold the "
        "answer: a folder of `expertrag train probe`; auto is the one that is shipped for the "
        "model, if any; none goes by the model's words alone.",
    )
    passages: str = option(
        "auto",
        "How passages are shown to the language model: together, all in one prompt; auto, the best "
        "one first, then each alone, and all where the probe or the reader doubts that any holds "
        "the answer, if there is either and a few words are asked for, else together.",
        choices=("auto", TOGETHER),
    )
    dtype: str = option(
        "auto",
        "Precision of the language model; int8 and int4 round its weights, on the CPU.",
        choices=("auto", "float32", "bfloat16", "float16", "int8", "int4"),
    )
    device: str = option("auto", "Where models run: auto, cpu, cuda, cuda:0, mps.")
    cache_mib: int = option(
        1024,
        "Memory for keys and values of the texts in work, on the CPU; what is not used takes none.",
        minimum=1,
    )
    reuse_mib: int = option(
        64,
        "Memory for keys and values that stays when no text needs it, for texts that begin like "
        "earlier ones; the rest goes back to the system.",
        minimum=0,
    )

    def __post_init__(self) -> None:
        _validate(self, "model")


@dataclass(frozen=True, slots=True)
class GateConfig:
    """When the documents are consulted."""

    bundle: str = option(
        AUTO_GATE,
        "Fitted gate: a folder of `expertrag gate fit`, a shipped one, or training-free; auto is "
        "the shipped one that was fitted on the language model, training-free where there is none.",
    )
    threshold: float | None = option(
        None,
        "Retrieve when the probability of benefit reaches this. Unset: the gate's own threshold.",
        minimum=0.0,
        maximum=1.0,
    )
    target_rate: float | None = option(
        None,
        "Retrieve for at most this share of the questions that the gate decides. Unset: no budget.",
        minimum=0.0,
        maximum=1.0,
    )
    max_violation: float = option(
        0.1,
        "Probability that the first threshold of a fitted gate exceeds the target rate.",
        minimum=0.001,
        maximum=0.5,
    )

    answer_value_s: float | None = option(
        None,
        "Seconds of this machine that a right answer is worth: a fitted gate retrieves when the "
        "benefit times this reaches what a retrieval costs here, which is measured. Unset: no "
        "price.",
        minimum=1e-6,
    )

    unsure: str = option(
        "closed_book",
        "How a question is answered whose probability of benefit is below the threshold, but not "
        "by far: closed_book, by the model alone; strict, from the documents or not at all.",
        choices=("closed_book", "strict"),
    )

    @property
    def named(self) -> bool:
        """Whether ``bundle`` names one certain fitted gate."""
        return self.bundle not in (AUTO_GATE, TRAINING_FREE)

    def __post_init__(self) -> None:
        _validate(self, "gate")
        ways = ("threshold", "target_rate", "answer_value_s")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) > 1:
            raise invalid(
                f"gate.{given[1]}", f"is set beside gate.{given[0]}, which decides alone; leave one"
            )
        if self.answer_value_s is not None and self.bundle == TRAINING_FREE:
            raise needs_fitted_gate()
        if self.target_rate is not None and self.unsure == "strict":
            raise invalid(
                "gate.unsure",
                "is strict, which consults the documents beside gate.target_rate; leave one",
            )


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """How much is retrieved."""

    k: int = option(
        next(item.default for item in fields(AnswerRequest) if item.name == "k"),
        "Passages to retrieve.",
        minimum=1,
        maximum=1_000,
    )

    def __post_init__(self) -> None:
        _validate(self, "search")


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """How the server listens and what it admits. Times are in seconds."""

    address: str = option("127.0.0.1:50051", "Where to listen: HOST:PORT or unix:PATH.")
    max_concurrency: int = option(
        8, "Calls of one method that run at the same time.", minimum=1, maximum=1_024
    )
    queue_depth: int = option(
        16, "Calls of one method that may wait; more are refused.", minimum=0, maximum=65_536
    )
    default_deadline_s: float = option(
        30.0, "Deadline of a call that comes without one, in seconds.", minimum=0.1
    )
    max_deadline_s: float = option(
        120.0, "Longest deadline that a call may ask for, in seconds.", minimum=0.1
    )
    drain_s: float = option(
        30.0, "Time that running calls get after SIGTERM, in seconds.", minimum=0.0, maximum=3_600
    )
    metrics_port: int = option(
        0, "Port of the Prometheus metrics; 0 is off.", minimum=0, maximum=65_535
    )
    allow_writes: bool = option(False, "Let callers add and delete documents.")
    reflection: bool = option(True, "Let callers list the services (gRPC reflection).")

    def __post_init__(self) -> None:
        _validate(self, "service")
        if self.default_deadline_s > self.max_deadline_s:
            message = f"is {self.default_deadline_s:g}, over max_deadline_s {self.max_deadline_s:g}"
            raise invalid("service.default_deadline_s", f"{message}; lower it")


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """What is kept of the gate's decisions, to learn from use (docs/gate.md). Off unless set."""

    path: str = option("", "File that every decision is appended to (JSON lines). Unset: none.")
    texts: bool = option(False, "Keep the questions, too; without, the file holds no text.")

    def __post_init__(self) -> None:
        _validate(self, "audit")


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What is logged, on stderr. Documents and questions never are."""

    level: str = option(
        "info", "Least severe level that is logged.", choices=("debug", "info", "warning", "error")
    )
    format: str = option(
        "auto",
        "Shape of a log line; auto is console on a terminal, else json.",
        choices=("auto", "console", "json"),
    )

    def __post_init__(self) -> None:
        _validate(self, "log")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set. ``index`` is the folder of the store; "" when unset."""

    index: str = option("", "Folder of the document store.")
    model: ModelConfig = field(default_factory=ModelConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    service: ServiceConfig = field(default_factory=ServiceConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    log: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        _validate(self, "")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the configuration, as every way of setting it sees it."""

    section: str
    name: str
    kind: type[str] | type[int] | type[float] | type[bool]
    default: str | int | float | bool | None
    help: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]

    @property
    def key(self) -> str:
        """Name in a file and in messages: ``service.address``."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def env(self) -> str:
        """Name of the environment variable."""
        return ENV_PREFIX + self.key.replace(".", "_").upper()

    @property
    def flag(self) -> str:
        """Name of the flag: ``--address``; a name that says too little alone has its section."""
        if self.section in ("audit", "log") or self.name == "bundle":
            return f"--{self.section}-{self.name}"
        return "-k" if self.name == "k" else "--" + self.name.replace("_", "-")

    @property
    def limits(self) -> str:
        """The values that are allowed, in words; empty when any is."""
        if self.choices:
            return ", ".join(self.choices)
        if self.minimum is None:
            return ""
        upper = "" if self.maximum is None else f" to {self.maximum:g}"
        return f"{self.minimum:g}{upper}" if upper else f"at least {self.minimum:g}"


def settings() -> tuple[Setting, ...]:
    """Every key, in the order of the dataclasses."""
    found = []
    for item in fields(Config):
        if is_dataclass(item.default_factory):
            found += [_setting(item.name, inner) for inner in fields(item.default_factory)]
        else:
            found.append(_setting("", item))
    return tuple(found)


def invalid(key: str, message: str) -> InvalidArgument:
    """Return the error for one key; the message starts with it."""
    return InvalidArgument(f"{key}: {message}", reason="INVALID_CONFIG", metadata={"field": key})


def needs_fitted_gate() -> InvalidArgument:
    """Return the error for a price without a fitted gate."""
    return invalid(
        "gate.answer_value_s",
        "needs a calibrated probability of the benefit, which the training-free gate does not "
        "give; name a fitted gate with gate.bundle",
    )


_KINDS: dict[str, type[str] | type[int] | type[float] | type[bool]] = {
    "str": str,
    "int": int,
    "float": float,
    "float | None": float,
    "bool": bool,
}


_KIND_NAMES: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def _setting(section: str, item: Field[Any]) -> Setting:
    return Setting(
        section=section,
        name=item.name,
        kind=_KINDS[str(item.type)],
        default=None if item.default is MISSING else item.default,
        help=item.metadata["help"],
        minimum=item.metadata["minimum"],
        maximum=item.metadata["maximum"],
        choices=item.metadata["choices"],
    )


def _validate(config: Any, section: str) -> None:
    """Check every option of a dataclass against its type and limits."""
    for item in fields(config):
        if "help" in item.metadata:
            setting = _setting(section, item)
            complaint = _complaint(setting, getattr(config, item.name))
            if complaint:
                raise invalid(setting.key, complaint)


def _complaint(setting: Setting, value: object) -> str:
    if value is None and setting.default is None:
        return ""
    if not _has_kind(setting.kind, value):
        return f"is {value!r}; give {_KIND_NAMES[setting.kind]}"
    if setting.choices and value not in setting.choices:
        return f"is {value!r}; choose one of {setting.limits}"
    if isinstance(value, str):
        empty = not value and setting.default != ""
        return "is empty; give a value or leave it out" if empty else ""
    if not _in_range(setting, float(value)):  # type: ignore[arg-type]  # a number by now
        return f"is {value}; choose {setting.limits}"
    return ""


def _has_kind(kind: type, value: object) -> bool:
    """Compare types: a bool is no number here, an int does for a float."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _in_range(setting: Setting, value: float) -> bool:
    if not math.isfinite(value):
        return False
    above = setting.minimum is None or value >= setting.minimum
    return above and (setting.maximum is None or value <= setting.maximum)
