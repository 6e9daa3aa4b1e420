"""The package of language models is light to import, and exports what ``__all__`` names."""

from __future__ import annotations

import subprocess
import sys


def test_import_is_light() -> None:
    code = (
        "import sys, expertrag.llm as g;"
        "assert not {'torch', 'transformers', 'openai', 'llguidance'} & set(sys.modules);"
        "[getattr(g, name) for name in g.__all__];"
        "assert not {'torch', 'transformers', 'openai', 'llguidance'} & set(sys.modules);"
        "assert g.__all__ == sorted(g.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
