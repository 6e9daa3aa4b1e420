"""Experts dropped, merged and compressed: held-out losses, sizes and speed.

    python lab/benchmarks/eval_surgery.py --data DATA --fixture FOLDER --json FILE

On the mixture of ``fixture_moe.py``, which is trained first if FOLDER does not exist. Profiles are
of train prompts of each domain, and their mean is the mix; losses are of test prompts, relative to
the full model, on average over the domains. ``own``: of the model that was pruned by the domain's
own profile; ``other``: mean of those pruned by another domain's; ``random``: mean of several seeds.
Losses of single prompts are kept in --work, so a killed run continues.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import fixture_moe
import results_file
import torch
from fixture_network import Shape
from surgery_figures import SurgeryFigures
from surgery_losses import measured_losses
from surgery_speed import sizes_and_speeds
from surgery_tables import printed
from surgery_texts import Traffic, traffic_of
from surgery_variants import SurgeryBench

from expertrag.cli.progress import progress
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.loading import quiet
from expertrag.runtime.threads import all_cores
from expertrag_index.types import Progress
from expertrag_lab.data.named_sets import TRAIN
from expertrag_lab.surgery.mixture import load_mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile
from expertrag_lab.surgery.profiling.observe import observe

SURGERY = tuple(
    f"lab/expertrag_lab/surgery/{name}.py"
    for name in (
        "mixture",
        "changes/compress_low_rank",
        "changes/denominators",
        "changes/low_rank_fit",
        "changes/merge_experts",
        "changes/neurons",
        "changes/prune",
        "changes/selection",
        "profiling/importance",
        "profiling/observe",
    )
)
_CALIBRATED = 10  # prompts of each domain that low-rank experts are fitted to
TEXT_CODE = ("lab/benchmarks/fixture_texts.py", "lab/benchmarks/surgery_texts.py")
CODE = (
    *results_file.ENGINE,
    *SURGERY,
    *TEXT_CODE,
    "lab/benchmarks/fixture_engine.py",
    "lab/benchmarks/fixture_moe.py",
    "lab/benchmarks/fixture_network.py",
    "lab/benchmarks/surgery_figures.py",
    "lab/benchmarks/surgery_losses.py",
    "lab/benchmarks/surgery_speed.py",
    "lab/benchmarks/surgery_stats.py",
    "lab/benchmarks/surgery_variants.py",
    "lab/benchmarks/eval_surgery.py",
)


@dataclass(frozen=True, slots=True)
class SurgerySize:
    """Prompts of a domain that are profiled and that are reported on; what is drawn, and how often.

    ``draws``: sets of other experts that are dropped instead of super experts.
    """

    profiled: int
    held: int
    seeds: int
    draws: int


SIZES = {
    "tiny": SurgerySize(4, 4, 2, 2),
    "small": SurgerySize(30, 24, 3, 5),
    "full": SurgerySize(100, 40, 4, 6),
}
"""Named as the trainings of the fixture; tiny: to see that it runs."""


def main() -> None:
    """Measure, print the tables, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--fixture", type=Path, help="folder of the mixture; default: in --work")
    parser.add_argument("--profile", choices=SIZES, default="full")
    parser.add_argument("--no-speed", action="store_true", help="leave out tokens a second")
    given = parser.parse_args()
    size, folder = SIZES[given.profile], given.fixture or given.work / f"fixture-{given.profile}"
    with progress() as report, quiet(), all_cores():
        trained_fixture(given.data, folder, given.profile, report)
        bench, held = prepared(given.data, folder, size, report)
        kept = _kept(given.work, folder, size)
        measured = measured_losses(bench.variants(), held, kept, report)
        body = SurgeryFigures(measured, held).body()
        with nullcontext() if given.no_speed else tempfile.TemporaryDirectory() as scratch:
            if scratch:
                body["engine"] = sizes_and_speeds(bench, held, Path(scratch), report)
    card = json.loads((folder / fixture_moe.CARD_FILE).read_text(encoding="utf-8"))
    model = {name: card[name] for name in ("command", "shape", "steps", "tokens", "parameters")}
    experts = bench.mixture.num_experts
    body["inputs"] = {"model": model, "profile": given.profile, "experts": experts}
    print("\n".join(printed(body)))
    results_file.write(given.json, body, CODE)


def trained_fixture(data: Path, folder: Path, name: str, report: Progress) -> None:
    """Train the mixture, unless its folder exists."""
    if not folder.exists():
        profile = fixture_moe.PROFILES[name]
        fixture_moe.train(data, folder, Shape(), profile, profile.steps, 0, report)


def prepared(
    data: Path, folder: Path, size: SurgerySize, report: Progress
) -> tuple[SurgeryBench, dict[str, Traffic]]:
    """Load the mixture, profile it on train prompts, and read the test prompts."""
    mixture = load_mixture(str(folder), torch.float32)
    positions = mixture.model.config.max_position_embeddings
    seen, held = (
        traffic_of(data, split, most, mixture.tokenizer, positions, report)
        for split, most in ((TRAIN, size.profiled), ("test", size.held))
    )
    use = {}
    for done, (domain, item) in enumerate(seen.items()):
        report("profile", done, len(seen))
        use[domain] = observe(mixture, item.tokens)
    report("profile", len(seen), len(seen))
    numbers = tuple(layer.number for layer in mixture.layers)
    profile = ExpertProfile(fingerprint(folder), numbers, use)
    calibration = [tokens for item in seen.values() for tokens in item.tokens[:_CALIBRATED]]
    return SurgeryBench(mixture, profile, size.seeds, size.draws, calibration), held


def _kept(work: Path, folder: Path, size: SurgerySize) -> Path:
    """Name the file of losses by what they depend on."""
    hashes = [results_file.code_hash(path) for path in (*SURGERY, *TEXT_CODE)]
    key = f"{fingerprint(folder)}{size}{hashes}{torch.__version__}"
    return work / "surgery" / f"{results_file.hash_of({'key': key.encode()})}.jsonl"


if __name__ == "__main__":
    main()
