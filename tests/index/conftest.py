"""A light embedder for the tests of the store."""

from __future__ import annotations

import pytest
from store_helper import HashingEmbedder


@pytest.fixture
def hashing() -> HashingEmbedder:
    return HashingEmbedder()
