"""Prompts of a team's traffic on the command line: from files of rows, and from stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.cli.options import configured, flags_of, seed_flag
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag.llm.surgery.profiling.traffic import TrafficPrompt
    from expertrag_index.types import Progress

_Command = Callable[..., Any]


def traffic_options(group: str) -> Callable[[_Command], _Command]:
    """Return the options of a command that runs prompts as they are served.

    :param group: of the command's environment variables.
    """
    flag = flags_of(group)
    options = (
        flag(
            "log",
            "--audit",
            metavar="LOG",
            type=click.Path(path_type=Path),
            help="Audit log of `serve` with texts: its questions are asked, and corrected answers "
            "of its feedback are the right ones. Needs one STORE. Unset: questions are made from "
            "the documents of each STORE.",
        ),
        flag(
            "--domain-key",
            metavar="FIELD",
            default="",
            help="Field that names the domain: of a row [default: domain], or of the metadata of "
            "the best passage.",
        ),
        flag(
            "--limit",
            type=click.IntRange(min=1),
            help="Prompts of each domain at most, drawn with --seed. Unset: all.",
        ),
        flag(
            "--most-tokens",
            type=click.IntRange(min=1),
            default=64,
            help="Tokens of an answer, at most.",
        ),
        seed_flag(f"EXPERTRAG_{group}_SEED", "Seed of the questions that are made and drawn."),
        configured("search.k", "model.embedder", "model.reranker", "model.device"),
    )

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@dataclass(frozen=True, slots=True)
class TrafficSources:
    """Files and stores, each with its domain, and the options that prompts depend on."""

    named: tuple[tuple[str, Path], ...]
    out: Path
    log: Path | None
    domain_key: str
    limit: int | None
    seed: int
    config: Config

    @classmethod
    def of(
        cls,
        sources: Sequence[str],
        out: Path,
        log: Path | None,
        domain_key: str,
        limit: int | None,
        seed: int,
        config: Config,
    ) -> TrafficSources:
        """Check the sources, before a model is loaded.

        :param sources: each ``[DOMAIN=]STORE|ROWS``.
        :param out: folder of the command, beside which made questions are kept.
        :raises NotFound: there is no such file or store.
        :raises InvalidArgument: a log is given, and not one store.
        """
        from expertrag.data.named_sets import parse_data

        named = tuple((name, path) for name, paths in parse_data(sources).items() for path in paths)
        for _, path in named:
            if not path.exists():
                raise NotFound(
                    f"no store or file of prompts {path}; check the path", reason="FILE_NOT_FOUND"
                )
        if log and sum(path.is_dir() for _, path in named) != 1:
            raise InvalidArgument(
                "audit: the questions of a log are asked of one store; give one STORE"
            )
        return cls(named, out, log, domain_key, limit, seed, config)

    @property
    def names(self) -> list[str]:
        """Names of the files and folders."""
        return [path.name for _, path in self.named]

    def traffic(self, report: Progress) -> tuple[TrafficPrompt, ...]:
        """Read the prompts of all sources, and draw at most ``limit`` of each domain."""
        from expertrag.llm.surgery.profiling.traffic import drawn

        found: list[TrafficPrompt] = []
        for domain, path in self.named:
            read = self._of_store if path.is_dir() else self._of_rows
            found += read(path, domain, report)
        return drawn(found, self.limit, self.seed)

    def _of_rows(self, path: Path, domain: str, _report: Progress) -> Sequence[TrafficPrompt]:
        """Read the prompts of a file."""
        from expertrag.llm.surgery.profiling.traffic import DOMAIN_KEY, read_traffic

        return read_traffic(path, domain, self.domain_key or DOMAIN_KEY)

    def _of_store(self, store: Path, domain: str, report: Progress) -> Sequence[TrafficPrompt]:
        """Ask the questions of a log, or questions about its own documents, of a store."""
        from expertrag.train.store_traffic import logged_questions, made_questions, store_traffic
        from expertrag_retriever.publish import work_folder

        if self.log:
            questions = logged_questions(self.log)
        else:
            with work_folder(self.out, keep=True) as work:
                # with a field, the domains are known only once the passages are
                most = None if self.domain_key else self.limit
                questions = made_questions(store, work, most, self.seed, report)
        return store_traffic(
            store, domain, questions, self.config, report, domain_key=self.domain_key
        )
