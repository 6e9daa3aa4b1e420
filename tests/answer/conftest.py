"""Whole answers of the real pipeline."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from serving_fixtures import OpenPipeline, TellingGenerator

from expertrag.api.folding import fold
from expertrag.api.types import Answer, AnswerRequest

Answered = Callable[[TellingGenerator, AnswerRequest], Answer]


@pytest.fixture
def answered(open_pipeline: OpenPipeline) -> Answered:
    """Answers a request with a scripted model."""
    return lambda model, request: fold(open_pipeline(model).answer(request))
