"""Language models by name, and what a model server cannot take."""

from __future__ import annotations

from typing import Any

import pytest

from expertrag.api.errors import ExpertRAGError, InvalidArgument
from expertrag.llm.registry import load_generator

SERVER = "openai:http://127.0.0.1:9/v1#model"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adapters": object()}, "reader: it needs a model on our own engine"),
        ({"weights_mib": 100}, "lab.weights_mib needs a model on our own engine"),
        ({"routing": "top_k:1"}, "routing: it needs a model on our own engine"),
    ],
)
def test_a_model_server_takes_no_options_of_the_engine(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        load_generator(SERVER, **options)


def test_every_other_name_is_a_model_of_this_machine() -> None:
    with pytest.raises(ExpertRAGError, match="nowhere"):
        load_generator("./nowhere")
