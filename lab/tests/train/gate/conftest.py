"""Rows that a gate can be fitted on."""

from __future__ import annotations

import pytest
from retriever.gate.conftest import Planted, planted


@pytest.fixture(scope="session")
def rows() -> Planted:
    return planted()
