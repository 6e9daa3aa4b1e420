"""Parses the lines of JSON-lines files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def parse_object(line: bytes) -> Mapping[str, Any]:
    """Parse one line of a JSON-lines file.

    :raises ValueError: the line is not a JSON object; the message says why.
    """
    try:
        item = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8, in which the file has to be saved") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(item, dict):
        raise ValueError("is not a JSON object")
    return item
