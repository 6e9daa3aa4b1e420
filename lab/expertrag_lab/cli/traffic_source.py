"""Prompts of a team's traffic, as commands name them: files of rows, and stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.cli.output import format_count
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag_index.types import Progress
    from expertrag_lab.surgery.profiling.traffic import TrafficPrompt


def parse_sources(sources: Sequence[str]) -> list[tuple[str, Path]]:
    """Parse `[DOMAIN=]STORE|ROWS`, and check the paths before a model is loaded.

    A domain that is not named is called after its file or folder.

    :raises InvalidArgument: a domain or a path is empty.
    :raises NotFound: there is no such file or folder.
    """
    named = [_parse_source(source) for source in sources]
    for _, path in named:
        if not path.exists():
            raise NotFound(
                f"no store or file of prompts {path}; check the path", reason="FILE_NOT_FOUND"
            )
    return named


def note_too_long(skipped: int) -> Iterator[str]:
    """Yield a line on the prompts that were too long, if there are any."""
    if skipped:
        yield f"left out: {format_count(skipped, 'prompt')}, too long for the model's context"


def _parse_source(source: str) -> tuple[str, Path]:
    from expertrag_lab.data.named_sets import name_of

    before, sign, after = source.partition("=")
    given = after if sign else source
    domain = before.strip() if sign else name_of(Path(source))
    if not domain or not given:
        raise InvalidArgument(
            f"{source!r} does not name a domain and its prompts: write DOMAIN=STORE or "
            "DOMAIN=ROWS, such as legal=contracts.jsonl"
        )
    return domain, Path(given)


@dataclass(frozen=True, slots=True)
class TrafficSource:
    """The options that prompts depend on.

    :param out: made questions are kept next to it.
    :param limit: prompts of each domain at most; None for all.
    :param log: audit log whose questions are asked of the one store.
    :param domain_key: field that names the domain.
    :param instead: what to do if no questions can be made from a store.
    """

    out: Path
    limit: int | None
    seed: int
    config: Config
    log: Path | None = None
    domain_key: str = ""
    instead: str = "give a file of ROWS"

    def prompts(
        self, named: Sequence[tuple[str, Path]], report: Progress
    ) -> tuple[TrafficPrompt, ...]:
        """Read or make the prompts of all sources, and draw some of each domain."""
        from expertrag_lab.surgery.profiling.traffic import draw

        traffic: list[TrafficPrompt] = []
        for domain, path in named:
            traffic += (self._of_store if path.is_dir() else self._of_rows)(path, domain, report)
        return draw(traffic, self.limit, self.seed)

    def _of_rows(self, path: Path, domain: str, _report: Progress) -> Sequence[TrafficPrompt]:
        """Read the prompts of a file."""
        from expertrag_lab.surgery.profiling.traffic import DOMAIN_KEY, read_traffic

        return read_traffic(path, domain, self.domain_key or DOMAIN_KEY)

    def _of_store(self, store: Path, domain: str, report: Progress) -> Sequence[TrafficPrompt]:
        """Ask the questions of a log, or questions about its own documents, of a store."""
        from expertrag_lab.train.store_traffic import (
            make_questions,
            read_logged,
            store_traffic,
        )
        from expertrag_lab.work_folder import work_folder

        if self.log:
            questions = read_logged(self.log)
        else:
            with work_folder(self.out, keep=True) as work:
                # with a field, the domains are known only once the passages are
                most = None if self.domain_key else self.limit
                questions = make_questions(
                    store, work, most, self.seed, report, instead=self.instead
                )
        return store_traffic(
            store, domain, questions, self.config, report, domain_key=self.domain_key
        )
