"""One key of the configuration: how a dataclass declares it, its names, and its check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from expertrag.api.errors import InvalidArgument

ENV_PREFIX = "EXPERTRAG_"
_PREFIXED = ("audit", "collections", "files", "log", "quota", "rerank", "tls")
_NAMED = {
    "collections.folder": "--collections",
    "replica.every_s": "--follow-every-s",
    "replica.keep": "--push-keep",
}
_VARIABLES = {
    "request.max_tokens": "MAX_TOKENS",
    "request.temperature": "TEMPERATURE",
    "request.top_p": "TOP_P",
    "request.seed": "SEED",
    "request.frequency_penalty": "FREQUENCY_PENALTY",
    "request.steps": "STEPS",
    "request.rerank": "ASK_RERANK",
    "request.domain": "DOMAIN",
    "request.logprobs": "LOGPROBS",
    "files.max_mb": "MAX_FILE_MB",
    "files.max_s": "MAX_FILE_S",
    "files.labels_field": "LABELS_FIELD",
}
"""Variables of keys that were flags before they were settings, without their prefix."""


def option(
    default: object,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """Return a field; its type is the annotation (str, int, float, bool, float | None)."""
    limits = {"minimum": minimum, "maximum": maximum, "choices": tuple(choices)}
    return field(default=default, metadata={"help": help, **limits})


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the configuration: its names, type, default, help and limits."""

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
        return ENV_PREFIX + _VARIABLES.get(self.key, self.key.replace(".", "_").upper())

    @property
    def has_own_variable(self) -> bool:
        """Whether the variable is not named after the key."""
        return self.key in _VARIABLES

    @property
    def flag(self) -> str:
        """Name of the flag: ``--address``; a name that is vague alone includes its section."""
        if self.key in _NAMED:
            return _NAMED[self.key]
        if self.section in _PREFIXED or self.name == "bundle":
            return f"--{self.section}-{self.name}".replace("_", "-")
        return "-k" if self.name == "k" else "--" + self.name.replace("_", "-")

    @property
    def limits(self) -> str:
        """Allowed values in words; empty if any value is allowed."""
        if self.choices:
            return ", ".join(filter(None, self.choices))
        if self.minimum is None:
            return ""
        upper = "" if self.maximum is None else f" to {self.maximum:g}"
        return f"{self.minimum:g}{upper}" if upper else f"at least {self.minimum:g}"


def invalid(key: str, message: str) -> InvalidArgument:
    """Return the error for a key; its message starts with the key."""
    return InvalidArgument(f"{key}: {message}", reason="INVALID_CONFIG", metadata={"field": key})


_KINDS: dict[str, type[str] | type[int] | type[float] | type[bool]] = {
    "str": str,
    "str | None": str,
    "int": int,
    "float": float,
    "float | None": float,
    "int | None": int,
    "bool | None": bool,
    "bool": bool,
}


_KIND_NAMES: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def setting_of(section: str, item: Field[Any]) -> Setting:
    """Return the setting that a field of a section's dataclass describes."""
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


def validate(config: Any, section: str) -> None:
    """Check every option of a dataclass against its type and limits."""
    for item in fields(config):
        if "help" in item.metadata:
            setting = setting_of(section, item)
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
        return "is empty; give a value or omit it" if empty else ""
    if not _in_range(setting, value):  # type: ignore[arg-type]  # a number by now
        return f"is {value}; choose {setting.limits}"
    return ""


def _has_kind(kind: type, value: object) -> bool:
    """Check the type: a bool is not a number; an int is accepted for a float."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _in_range(setting: Setting, value: float) -> bool:
    # an int is compared as it is: a large one has no float
    if isinstance(value, float) and not math.isfinite(value):
        return False
    above = setting.minimum is None or value >= setting.minimum
    return above and (setting.maximum is None or value <= setting.maximum)
