"""Test the console in a real browser: every view, hostile documents, accessibility, weight, speed.

    python lab/benchmarks/console_browser.py --json FILE

Needs Chromium (Debian: ``apt-get install chromium``, or CHROMIUM=/path/to/it), the package
playwright, which drives it, and npm, which fetches axe-core once, or AXE=/path/to/axe.min.js.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from results_file import ROOT, parser, write

AXE = "axe-core@4.14.1"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
AXE_PATH = ROOT / ".cache" / "axe-core" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome")
PAGE = ROOT / "expertrag" / "http" / "console"
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in PAGE.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
)


def main() -> None:
    """Run the tests, and write what they measure."""
    options = _options()
    chromium, axe = _chromium(), _axe()
    if importlib.util.find_spec("playwright") is None:
        sys.exit("error: playwright is missing; pip install -r tests/browser/requirements.txt")
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        results = Path(folder) / "results.xml"
        known = {
            "CONSOLE_CHROMIUM": chromium,
            "CONSOLE_AXE": str(axe),
            "CONSOLE_FIGURES": str(figures),
        }
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={results}", "tests/browser"]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **known}, check=False)
        if done.returncode:
            sys.exit(done.returncode)
        body = _body(chromium, json.loads(figures.read_text("utf-8")), results)
    print(json.dumps(body, indent=1))
    write(options.json, body, FILES)


def _options() -> argparse.Namespace:
    return parser(__doc__).parse_args()


def _body(chromium: str, figures: dict[str, Any], results: Path) -> dict[str, Any]:
    from xml.etree import ElementTree

    suite = ElementTree.parse(results).getroot().find("testsuite")
    assert suite is not None
    version = subprocess.run([chromium, "--version"], capture_output=True, text=True, check=True)
    return {
        "browser": version.stdout.strip().partition(" built on")[0],
        "axe_core": AXE.partition("@")[2],
        "tests": int(suite.get("tests", 0)),
        **figures,
    }


def _chromium() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        sys.exit(
            "error: no Chromium is here; install it (Debian: apt-get install chromium), "
            "or say CHROMIUM=/path/to/it"
        )
    return found


def _axe() -> Path:
    """Return the file of axe-core, fetched once and checked."""
    path = Path(os.environ.get("AXE") or AXE_PATH)
    if not path.is_file():
        if shutil.which("npm") is None:
            sys.exit("error: npm, which fetches axe-core, is missing; or say AXE=/path/axe.min.js")
        _fetch(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != AXE_SHA256:
        sys.exit(f"error: {path} is not axe.min.js of {AXE}; remove it, and run this again")
    return path


def _fetch(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, check=True)
        (package,) = Path(folder).glob("*.tgz")
        with tarfile.open(package) as archive:
            content = archive.extractfile("package/axe.min.js")
            assert content is not None
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


if __name__ == "__main__":
    main()
