from __future__ import annotations

import subprocess
import sys

import pytest

import expertrag_index


def test_importing_the_package_loads_neither_numpy_nor_faiss() -> None:
    code = (
        "import expertrag_index, sys; "
        "sys.exit(len({'numpy', 'faiss', 'sqlite3'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_is_importable() -> None:
    assert sorted(expertrag_index.__all__) == expertrag_index.__all__
    for name in expertrag_index.__all__:
        assert callable(getattr(expertrag_index, name))
    with pytest.raises(AttributeError, match="nothing"):
        _ = expertrag_index.nothing
