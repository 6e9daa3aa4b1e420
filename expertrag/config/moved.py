"""Keys of the configuration that have a new name, so that an error can say it."""

from __future__ import annotations

from collections.abc import Mapping

from expertrag.config.setting import ENV_PREFIX

_FROM_MODEL = ("passages", "wording", "routing", "expert_patterns", "expert_share", "weights_mib")
_FROM_FLAGS = ("contrast", "beta", "weak_routing")

MOVED: Mapping[str, str] = {
    **{f"model.{name}": f"lab.{name}" for name in _FROM_MODEL},
    **{name: f"lab.{name}" for name in _FROM_FLAGS},
}
"""New keys by the old ones; the old key of a former flag is what its variable was called."""


def successor_of(name: str) -> str:
    """Return the new name of a key or of a variable; "" if it did not move."""
    if not name.startswith(ENV_PREFIX):
        return MOVED.get(name, "")
    variables = {_variable(old): _variable(new) for old, new in MOVED.items()}
    return variables.get(name, "")


def _variable(key: str) -> str:
    return ENV_PREFIX + key.replace(".", "_").upper()
