"""Readings that are kept in memory, so that a second question about them is cheap."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

from expertrag.answer.scan.result import Reading

MOST_READINGS = 20_000


@dataclass(frozen=True, slots=True)
class ReadingKey:
    """What a reading depends on; nothing else may change it.

    ``salt``: the caller's, so that no reading crosses callers with different access.
    """

    text: str
    noun: str
    attribute: tuple[str, str]
    model: str
    salt: str

    @classmethod
    def of(
        cls, text: str, noun: str, attribute: tuple[str, str], model: str, salt: str
    ) -> ReadingKey:
        """Return the key of a reading of a document's text."""
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
        return cls(digest, noun, attribute, model, salt)


class KeptReadings:
    """The readings that were used last. Thread-safe."""

    def __init__(self, most: int = MOST_READINGS) -> None:
        self._most = most
        self._readings: OrderedDict[ReadingKey, Reading] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._readings)

    def get(self, key: ReadingKey) -> Reading | None:
        """Return a reading; None if it is not kept."""
        with self._lock:
            if key in self._readings:
                self._readings.move_to_end(key)
            return self._readings.get(key)

    def put(self, key: ReadingKey, reading: Reading) -> None:
        """Keep a reading; the one that was not used for longest may go."""
        with self._lock:
            self._readings[key] = reading
            self._readings.move_to_end(key)
            if len(self._readings) > self._most:
                self._readings.popitem(last=False)
