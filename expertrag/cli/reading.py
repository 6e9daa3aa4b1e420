"""Options of the commands that read documents: which files, how long, how large."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from expertrag.cli.options import flag
from expertrag_common.extras import install_command

MAX_FILE_MB, MAX_FILE_S = 32, 120.0
"""Defaults of ``--max-file-mb`` and ``--max-file-s``. A test checks that they equal the loaders'
own, which are heavy to import."""

OCR_PACKAGES = ("rapidocr", "onnxruntime")
"""Those of the extra; the same test checks them."""

Limits = Mapping[str, Any]
_LIMITS = ("max_file_s", "ocr", "include", "exclude", "labels", "labels_field")

docs_argument = click.argument(
    "docs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)


def _installed(_: click.Context, option: click.Parameter, ocr: bool) -> bool:
    if ocr and not all(map(find_spec, OCR_PACKAGES)):
        raise click.BadParameter(f"it needs an extra: {install_command('ocr')}", param=option)
    return ocr


ocr_flag = flag(
    "--ocr",
    is_flag=True,
    callback=_installed,
    help="Read scanned pages of PDF files, some fifteen seconds each; --max-file-s is then "
    "twenty times as long. Needs the extra 'ocr'.",
)


def file_limits(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the loaders, which the command gets as ``limits``."""

    @flag(
        "--max-file-mb",
        type=click.IntRange(min=1),
        default=MAX_FILE_MB,
        help="Largest document in MiB; a larger one is skipped.",
    )
    @flag(
        "--max-file-s",
        type=click.FloatRange(min=0, min_open=True),
        default=MAX_FILE_S,
        help="Seconds that reading a document may take; a slower one is skipped.",
    )
    @ocr_flag
    @flag(
        "--include",
        multiple=True,
        metavar="PATTERN",
        help="Read only the files of folders that match, as '*.md' or 'manual/'; repeatable, "
        "written as in .gitignore.",
    )
    @flag(
        "--exclude",
        multiple=True,
        metavar="PATTERN",
        help="Do not read the files and folders that match; repeatable.",
    )
    @flag(
        "labels",
        "--label",
        multiple=True,
        metavar="LABEL",
        help="Access label of the documents, repeatable: a restricted caller of a server sees them "
        "only with one of their labels.",
    )
    @flag(
        "--labels-field",
        default="",
        metavar="FIELD",
        help="Metadata field that holds a document's access labels.",
    )
    @functools.wraps(command)
    def limited(*args: Any, **options: Any) -> None:
        limits = {name: options.pop(name) for name in _LIMITS}
        limits["max_file_bytes"] = options.pop("max_file_mb") * 2**20
        command(*args, limits=limits, **options)

    return limited
