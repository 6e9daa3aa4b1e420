"""Run the clients of other projects against a server, and write what passed.

make lab-test-clients
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import results_file

SCRIPTS = Path(__file__).parents[2] / "tests" / "http" / "clients"
QUESTION = "How do I undo the last commit but keep my changes?"
PYTHON = {
    "litellm_client.py": ("litellm",),
    "llama_index_client.py": ("llama-index-llms-openai-like", "llama-index-embeddings-openai-like"),
    "haystack_client.py": ("haystack-ai",),
}
NODE = {
    "openai_client.mjs": ("openai",),
    "ai_sdk_client.mjs": ("ai", "@ai-sdk/openai-compatible"),
}
CODE = ("expertrag/serving/http", "tests/serving/http/clients", "lab/benchmarks/http_clients.py")


def main() -> int:
    """Run all clients; return 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True, help="store to serve")
    parser.add_argument("--clients", type=Path, required=True, help="folder of their packages")
    parser.add_argument("--json", help="file for the results")
    given = parser.parse_args()
    python = given.clients / "bin" / "python"
    node = given.clients / "node"
    rows = []
    with serving(given.store) as url:
        for script, packages in PYTHON.items():
            rows.append(run([str(python), str(SCRIPTS / script)], script, packages, url))
            rows[-1]["versions"] = python_versions(python, packages)
        for script, packages in NODE.items():
            copy = node / script  # Node.js looks for packages beside the script
            copy.write_text((SCRIPTS / script).read_text())
            rows.append(run(["node", str(copy.resolve())], script, packages, url))
            rows[-1]["versions"] = node_versions(node, packages)
    results_file.write(given.json, {"clients": rows}, CODE)
    return 0 if all(row["passed"] for row in rows) else 1


@contextmanager
def serving(store: str) -> Iterator[str]:
    """Serve a store on free ports of the loopback; yield the HTTP address."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "expertrag", "serve"),
            "--index",
            store,
            "--generator",
            "smollm2-135m-reader",
            "--address",
            f"unix:{folder}/grpc.sock",
            "--http-address",
            f"127.0.0.1:{port}",
        ]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
            try:
                url = f"http://127.0.0.1:{port}"
                wait_ready(url)
                yield url
            finally:
                server.terminate()


def wait_ready(url: str) -> None:
    """Wait until the server has loaded its models."""
    for _ in range(600):
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"no server at {url}")


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def run(command: list[str], script: str, packages: tuple[str, ...], url: str) -> dict[str, object]:
    """Run a client."""
    done = subprocess.run([*command, url, QUESTION], capture_output=True, text=True, check=False)
    print(f"{'passed' if done.returncode == 0 else 'FAILED'}  {script}")
    if done.returncode:
        print(done.stdout[-2_000:], done.stderr[-4_000:])
    return {"client": script, "passed": done.returncode == 0, "packages": list(packages)}


def python_versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of packages of a virtual environment."""
    code = "import sys, json, importlib.metadata as m; "
    code += "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    done = subprocess.run(
        [str(python), "-c", code, *packages], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def node_versions(node: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of npm packages."""
    files = {name: node / "node_modules" / name / "package.json" for name in packages}
    return {name: json.loads(file.read_text())["version"] for name, file in files.items()}


if __name__ == "__main__":
    raise SystemExit(main())
