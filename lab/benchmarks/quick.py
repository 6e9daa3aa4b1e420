"""Check that every benchmark and evaluation still runs, each as small as it goes.

    python lab/benchmarks/quick.py --data DATA [--only NAME ...]

The figures mean nothing; a traceback counts. Needs the packed default model and the small
reader (`make demo` and `expertrag models pull smollm2-135m-reader` make them).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from expertrag import models

HERE = Path(__file__).parent
SMALL = "smollm2-135m-reader"
BUNDLES = HERE.parent / "expertrag" / "models" / "bundles"
DOMAINS, READER = str(BUNDLES / "minilm-domains"), str(BUNDLES / "smollm2-reader")


def main() -> int:
    """Run the commands; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--store", default=".demo/store", help="store that the demo built")
    parser.add_argument("--only", nargs="+", help="names of targets")
    given = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        commands = {
            **benchmarks(given.data, given.store, Path(scratch)),
            **evaluations(given.data, Path(scratch)),
            **mixtures(given.data, Path(scratch)),
            **fits(given.data, Path(scratch)),
        }
        for name in given.only or commands:
            began = time.monotonic()
            script, *arguments = commands[name]
            command = [sys.executable, str(HERE / f"{script}.py"), *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            # 1 without a traceback: it ran and missed a target, as is likely with few questions
            crashed = done.returncode not in (0, 1) or "Traceback" in done.stderr
            failed += [name] if crashed else []
            outcome = "FAILED" if crashed else "ok"
            print(f"{name:<20} {outcome:<6} {time.monotonic() - began:5.0f} s", flush=True)
            if crashed:
                print(done.stderr[-2000:])
    return bool(failed)


def benchmarks(data: Path, store: str, scratch: Path) -> Mapping[str, list[str]]:
    """Return the small command of each `make bench-*`."""
    packed = str(models.path(models.LARGE))
    squad, hotpot = str(data / "squad2"), str(data / "hotpotqa")
    on = ["--data", str(data)]
    return {
        "bench-search": ["bench_search", *on, "--sets", "pydocs", "--limit", "20"],
        "bench-gate": ["bench_gate", *on, "--sets", "pydocs", "--limit", "20"],
        "bench-grounding": ["bench_grounding", *on, "--limit", "20"],
        "eval-conversations": [
            "eval_conversations", *on, "--sets", "policyqa", "--limit", "5", "--documents", "200",
            "--answers", "0", "--by-model", "2",
        ],
        "bench-router": ["bench_router", *on, "--texts", "60"],
        "bench-experts": ["bench_experts", *on, "--bundle", DOMAINS],
        "bench-hot": ["bench_hot", *on, "--model", SMALL, "--sets", "pubmedqa", "--questions", "2"],
        "bench-kept": [
            "bench_kept", squad, hotpot, "--generator", packed, "--questions", "20",
        ],
        "bench-kernels": ["bench_kernels", "--quick"],
        "bench-avx2": ["bench_avx2", "--rounds", "1"],
        "bench-mxfp4": ["bench_mxfp4", *on, "--rounds", "2", "--experts", "4", "--windows", "2"],
        "bench-generation": ["bench_generation", squad, "--quick", "--parts", "single"],
        "bench-limits": ["generation_limits", squad, "--packed", packed, "--rounds", "1"],
        "bench-server-start": [
            "bench_server_start", "--index", store, "--generator", packed,
            "--rounds", "1", "--questions", "2",
        ],
        "bench-service": [
            "bench_service", "--index", store, "--rounds", "1", "--seconds", "1",
            "--upserts", "1", "--calls", "5",
        ],
        "bench-store": ["bench_store", "--chunks", "2000", "--rounds", "1", "--queries", "5"],
        "bench-residency": [
            "residency", "--file", str(scratch / "mixture"), "--layers", "2", "--tokens", "4",
            "--rounds", "1",
        ],
        "bench-patterns": [
            "bench_patterns", *on, "--quick", "--fixture", str(scratch / "mixture-patterns"),
            "--work", str(scratch / "patterns"),
        ],
        "bench-lexical": ["lexical_engines", "--sizes", "2000"],
        "bench-ray": ["bench_ray", "--every", "40", "--workers", "1"],
        "bench-scan": ["bench_scan", "--model", SMALL, "--documents", "6", "--work", str(scratch)],
        "bench-scale": [
            "bench_scale", "--sizes", "1000", "--seconds", "1", "--work", str(scratch / "work"),
        ],
    }  # fmt: skip


def evaluations(data: Path, scratch: Path) -> Mapping[str, list[str]]:
    """Return the small command of each `make eval-*`."""
    on = ["--data", str(data)]
    return {
        "eval-kernels": ["kernel_quality", *on, "--windows", "4"],
        "eval-languages": ["eval_languages", *on, "--embedder", "minilm-domains"],
        "eval-language-answers": [
            "eval_language_answers", *on, "--languages", "en", "--questions", "2",
            "--model", SMALL, "--work", str(scratch),
        ],
        "eval-overlap": ["eval_overlap", *on, "--sets", "cranfield"],
        "eval-strict": ["eval_strict", *on, "--questions", "120"],
        "eval-answers": [
            "eval_answers", *on, "--models", SMALL, "--sets", "pubmedqa",
            "--questions", "2", "--policies", "1",
        ],
        "eval-consistency": [
            "eval_paraphrases", *on, "--models", SMALL, "--kinds", "written", "--questions", "2",
        ],
        "eval-cost": [
            "eval_cost", *on, "--systems", "dense", "reader", "--sets", "pubmedqa", "--quick",
        ],
        "eval-reader": [
            "eval_reader", *on, "--reader", READER, "--questions", "2",
            "--parts", "verdicts",
        ],
        "eval-mixed": [
            "eval_mixed", *on, "--parts", "search", "--models", SMALL, "--questions", "5",
        ],
        "eval-office": [
            "eval_office", "--work", str(scratch), "--model", SMALL, "--limit", "1",
            "--kinds", "fact", "us_missing",
        ],
        "eval-many": [
            "eval_many", "--work", str(scratch), "--model", SMALL, "--limit", "1",
            "--kinds", "count", "--folders", "brightwater", "--parts", "questions", "access",
        ],
        "eval-experts": [
            "eval_experts", *on, "--bundle", DOMAINS,
            "--systems", "base", "router", "--sets", "pydocs",
        ],
        "eval": [
            "evaluate", "small", "--out", str(scratch / "report"),
            "--only", "retrieval,gate",
        ],
        "eval-gate": [
            "eval_gate", *on, "--quick", "--seeds", "1", "--signals", "question",
        ],
        "eval-reference": ["reference", *on],
    }  # fmt: skip


def mixtures(data: Path, scratch: Path) -> Mapping[str, list[str]]:
    """Return the small commands of changed mixtures of experts."""
    on = ["--data", str(data)]
    return {
        "eval-surgery": [
            "eval_surgery", *on, "--profile", "tiny", "--fixture", str(scratch / "mixture-surgery"),
            "--work", str(scratch / "surgery"),
        ],
        "eval-light-experts": [
            "eval_light_experts", *on, "--quick", "--fixture", str(scratch / "mixture-light"),
            "--work", str(scratch / "light"),
        ],
        "eval-split": ["eval_split", *on, "--quick", "--work", str(scratch / "split")],
        "eval-named-experts": [
            "eval_named_experts", *on, "--questions", "1", "--rounds", "1", "--forms", "low-rank",
        ],
    }  # fmt: skip


def fits(data: Path, scratch: Path) -> Mapping[str, list[str]]:
    """Return the small commands that fit probes; `make lab-confidence` needs more answers."""
    on = ["--data", str(data)]
    return {
        "internal-probe": ["fit_internal", *on, "--work", str(scratch), "--model", SMALL],
        "scope-probe": [
            "fit_scope_probe",
            *on,
            "--work",
            str(scratch),
            "--model",
            SMALL,
            "--small",
        ],
        "fit-doubt": ["fit_doubt", *on, "--model", SMALL, "--questions", "2"],
    }


if __name__ == "__main__":
    sys.exit(main())
