"""Options of the commands that read documents: which files, how long, how large."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from expertrag.cli.options import Command, flag, with_config
from expertrag.config import Config
from expertrag_common.extras import install_command

OCR_PACKAGES = ("rapidocr", "onnxruntime")
"""Packages of the extra; a test checks them."""

Limits = Mapping[str, Any]
_FLAGS = ("ocr", "include", "exclude", "labels")

docs_argument = click.argument(
    "docs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)


def _check_installed(_: click.Context, option: click.Parameter, ocr: bool) -> bool:
    if ocr and not all(map(find_spec, OCR_PACKAGES)):
        raise click.BadParameter(f"it needs an extra: {install_command('ocr')}", param=option)
    return ocr


ocr_flag = flag(
    "--ocr",
    is_flag=True,
    callback=_check_installed,
    help="Read scanned pages of PDF files, some fifteen seconds each; files.max_s is then "
    "twenty times as long. Needs the extra 'ocr'.",
)


_OPTIONS = (
    ocr_flag,
    flag(
        "--include",
        multiple=True,
        metavar="PATTERN",
        help="Read only the files of folders that match, as '*.md' or 'manual/'; repeatable, "
        "written as in .gitignore.",
    ),
    flag(
        "--exclude",
        multiple=True,
        metavar="PATTERN",
        help="Do not read the files and folders that match; repeatable.",
    ),
    flag(
        "labels",
        "--label",
        multiple=True,
        metavar="LABEL",
        help="Access label of the documents, repeatable: a restricted caller of a server sees them "
        "only with one of their labels.",
    ),
)


def reading(*keys: str, settable: tuple[str, ...]) -> Callable[[Command], Command]:
    """Add the options of the loaders, which the command gets as ``limits``, and its settings.

    :param keys: settings with a flag of their own; the command gets them as ``config``.
    :param settable: settings that ``--set`` sets, besides the section ``files``.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*args: Any, config: Config, **options: Any) -> None:
            files = config.files
            limits = {name: options.pop(name) for name in _FLAGS}
            limits |= {"max_file_s": files.max_s, "max_file_bytes": files.max_mb * 2**20}
            limits["labels_field"] = files.labels_field
            command(*args, limits=limits, config=config, **options)

        wrapped = with_config(*keys, settable=("files", *settable))(run)
        for option in reversed(_OPTIONS):
            wrapped = option(wrapped)
        return wrapped

    return decorate
