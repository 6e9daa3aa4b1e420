"""Models whose weights are not those of a dense model alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from dense_samples import write_dense
from reader_samples import write_reader

from expertrag.api.errors import InvalidArgument
from expertrag.llm.convert.attach import attach
from expertrag.llm.load.packing import pack_folder
from expertrag_index.types import silent
from expertrag_lab.surgery.splitting.splittable import load_splittable, neurons_of


@pytest.fixture(scope="module")
def dense(short_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama; do not change it."""
    return write_dense(tmp_path_factory.mktemp("models") / "dense", short_tokenizer)


def test_a_model_with_a_reader_is_refused_with_its_base(dense: Path, tmp_path: Path) -> None:
    attach(str(dense), write_reader(tmp_path / "bundle", dense), tmp_path / "reader")
    for read in (load_splittable, neurons_of):
        with pytest.raises(InvalidArgument, match=r"reader cannot be split.*give dense alone"):
            read(str(tmp_path / "reader"))


def test_a_packed_folder_is_refused_with_what_can_be_split(dense: Path, tmp_path: Path) -> None:
    pack_folder(str(dense), "int8", tmp_path / "packed", silent)
    with pytest.raises(InvalidArgument, match=r"packed is packed.* needed: name .* packed from"):
        load_splittable(str(tmp_path / "packed"))
    assert neurons_of(str(dense)) == 48
