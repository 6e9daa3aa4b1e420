"""Limits of one caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from expertrag.api.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Quota:
    """What a caller may use; None means no limit.

    ``requests``, ``tokens`` (of the language model, prompt and answer), ``documents`` (written or
    deleted) and ``bytes`` (of requests) are per minute; ``concurrent`` counts running calls.
    """

    requests: int | None = None
    tokens: int | None = None
    documents: int | None = None
    bytes: int | None = None
    concurrent: int | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidArgument(
                    f"quota.{item.name}: is {value!r}; give a whole number of at least 1, or leave "
                    "it out for no limit",
                    reason="INVALID_QUOTA",
                )

    @classmethod
    def parse(cls, item: Mapping[str, object]) -> Quota:
        """Read the limits that ``dump`` wrote.

        :raises InvalidArgument: an unknown limit, or not a number.
        """
        unknown = item.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise InvalidArgument(f"quota: unknown limit {min(unknown)!r}", reason="INVALID_QUOTA")
        return cls(**item)  # type: ignore[arg-type]  # checked above

    def dump(self) -> dict[str, int]:
        """Return the limits that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}
