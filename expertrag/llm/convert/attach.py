"""Attach a reader to its base model: one folder with the base's weights and the reader's bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

from expertrag.llm.adapters.bundle import Bundle, load_bundle
from expertrag.llm.convert.checkpoint import new_folder, write_plain
from expertrag.llm.convert.dense import check_base, load_dense
from expertrag.llm.load.loading import READER_FOLDER, quiet


def attach(base: str, bundle: Path, out: Path, *, pinned: bool = False) -> tuple[str, ...]:
    """Write a base model in bfloat16, with a reader's bundle in a folder of it.

    Loading the folder loads the reader, whose experts share the base's weights.

    :param base: folder or hub id of the model that the bundle was trained on.
    :param pinned: the base is known to be the right one, though its files may differ in form: each
        version of transformers writes its own ``config.json``.
    :return: names of the reader's experts.
    :raises Conflict: ``out`` exists, or the bundle is for other files of the base.
    :raises InvalidArgument: not a bundle, or another kind of model than its base.
    """
    made = load_bundle(bundle)
    if not pinned:
        check_base(made, base)
    with new_folder(out) as scratch, quiet():
        dense = load_dense(base, upcycled=not made.settings.parallel)
        write_plain(dense, dense.model.state_dict(), _card(made, dense.license), scratch)
        shutil.copytree(bundle, scratch / READER_FOLDER)
    return made.settings.experts


def _card(bundle: Bundle, licence: str) -> str:
    return f"""---
license: {licence}
base_model: {bundle.base}
tags: [retrieval-augmented-generation, mixture-of-experts, low-rank]
---
# A reader on {bundle.base}

{bundle.base} with a reader trained by ExpertRAG, which answers from numbered passages, cites them,
and says where they do not hold the answer. Weights in bfloat16: {bundle.base}'s, and in
`{READER_FOLDER}` the reader's, much smaller. Other tools load {bundle.base} alone.

- Experts: {", ".join(bundle.settings.experts)}; "base" is {bundle.base} without the reader
- Prompts that it was trained with: `{bundle.prompts}`
"""
