"""Choose the generator for ``auto``: the best one that fits this machine's memory."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag.api.errors import NotFound
from expertrag.models.card import find_problem
from expertrag.models.memory import available_bytes
from expertrag.models.registry import find_model, folder_of

LARGE = "qwen2.5-coder-1.5b-instruct"
SMALL = "smollm2-135m-reader"
NEEDED_BYTES = 6 << 30
"""Available memory required to choose ``LARGE``; a server with it uses less than half of that."""


@dataclass(frozen=True, slots=True)
class GeneratorChoice:
    """A generator, and the reason; ``cure`` is a command that enables a better one."""

    name: str
    reason: str
    cure: str = ""

    @property
    def summary(self) -> str:
        """The choice in one line."""
        cure = f"; better: `{self.cure}`" if self.cure else ""
        return f"{self.name}: {self.reason}{cure}"


def recommend(
    *, dtype: str = "auto", device: str = "auto", kernels: bool = True
) -> GeneratorChoice:
    """Choose a generator for this machine, pulled or not.

    :param dtype: configured data type; the packed model is int4, for the CPU.
    :param device: configured device.
    :param kernels: whether compiled kernels are installed; packed models need them.
    """
    if not kernels:
        return GeneratorChoice(SMALL, f"no compiled kernels are installed, which {LARGE} needs")
    if dtype not in ("auto", "int4") or device not in ("auto", "cpu"):
        setting = f"dtype {dtype}" if dtype not in ("auto", "int4") else f"device {device}"
        return GeneratorChoice(
            SMALL, f"{LARGE} is packed in int4 for the CPU, but {setting} is set"
        )
    memory = available_bytes()
    if memory is None:
        return GeneratorChoice(SMALL, "this system does not report its available memory")
    text = f"{memory / 2**30:.1f} GiB of memory are available"
    needed = f"{NEEDED_BYTES >> 30}"
    if memory < NEEDED_BYTES:
        return GeneratorChoice(SMALL, f"{text}, {LARGE} needs {needed}")
    return GeneratorChoice(LARGE, f"{text}, {needed} are needed")


def choose(*, dtype: str = "auto", device: str = "auto", kernels: bool = True) -> GeneratorChoice:
    """Choose among the pulled models: the suited one, else the small one.

    A damaged folder is also chosen, so that loading it reports the damage.

    :raises NotFound: if neither has been pulled.
    """
    recommended = recommend(dtype=dtype, device=device, kernels=kernels)
    problem = _absence(recommended.name)
    if problem is None:
        return recommended
    if recommended.name == SMALL or _absence(SMALL) is not None:
        raise NotFound(f"{problem.message} ({recommended.reason})", reason=problem.reason)
    return GeneratorChoice(
        SMALL,
        f"{recommended.reason} for {recommended.name}, which is not pulled",
        f"expertrag models pull {recommended.name}",
    )


def _absence(name: str) -> NotFound | None:
    model = find_model(name)
    problem = find_problem(model, folder_of(model), thorough=False)
    return problem if isinstance(problem, NotFound) else None
