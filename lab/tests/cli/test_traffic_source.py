"""Sources of prompts, as commands name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_lab.cli.traffic_source import parse_sources


def test_a_source_is_named_explicitly_or_after_its_path(tmp_path: Path) -> None:
    store, rows = tmp_path / "general", tmp_path / "tax.jsonl.gz"
    store.mkdir()
    rows.touch()
    given = [str(store), f"general={rows}", str(rows), f" tax ={store}"]
    assert parse_sources(given) == [
        ("general", store),
        ("general", rows),
        ("tax", rows),
        ("tax", store),
    ]


@pytest.mark.parametrize("source", ["", "legal=", "=rows.jsonl", " =rows.jsonl", "."])
def test_a_source_without_a_domain_or_a_path_is_refused(source: str) -> None:
    with pytest.raises(InvalidArgument, match=f"'{source}' does not name.*write DOMAIN=STORE or"):
        parse_sources([source])


def test_a_missing_path_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no store or file of prompts .*none; check the path"):
        parse_sources([f"legal={tmp_path / 'none'}"])
