"""Old names of settings: none is a setting, and each names its successor."""

from __future__ import annotations

import pytest

from expertrag.api.errors import InvalidArgument
from expertrag.config import load, settings
from expertrag.config.moved import MOVED, successor_of


def test_successors_are_settings() -> None:
    known = {item.key for item in settings()}
    assert not known & MOVED.keys()
    assert known >= set(MOVED.values())


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_variable_names_the_new_one(old: str, new: str) -> None:
    name, successor = (f"EXPERTRAG_{key.replace('.', '_').upper()}" for key in (old, new))
    assert (successor_of(old), successor_of(name)) == (new, successor)
    with pytest.raises(InvalidArgument, match=f"{name}: .*it is now {successor}"):
        load(environ={name: "x"})


def test_other_names_have_no_successor() -> None:
    assert successor_of("model.generator") == successor_of("EXPERTRAG_MODEL_GENERATOR") == ""
