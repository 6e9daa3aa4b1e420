"""Entry point of ``expertrag``: every error becomes one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

import click

from expertrag._version import __version__
from expertrag.cli.adapters import adapters
from expertrag.cli.answering import ask, retrieve
from expertrag.cli.chat import chat
from expertrag.cli.completion import answer_the_shell, completion
from expertrag.cli.doctor import doctor
from expertrag.cli.exits import MEANINGS, ExitCode, exit_code_of, message_of
from expertrag.cli.extensions import ExtensibleGroup
from expertrag.cli.gate import gate
from expertrag.cli.gate_use import feedback, replay
from expertrag.cli.health import health
from expertrag.cli.index import index
from expertrag.cli.index_create import create
from expertrag.cli.index_documents import list_documents, list_skipped, show
from expertrag.cli.index_replicas import follow, pull, push
from expertrag.cli.index_stats import stats
from expertrag.cli.index_sync import sync
from expertrag.cli.index_upkeep import backup, compact, repair, restore, verify
from expertrag.cli.index_watch import watch
from expertrag.cli.llm import llm
from expertrag.cli.mcp import mcp
from expertrag.cli.models import models
from expertrag.cli.serve import serve
from expertrag.cli.tokens import tokens
from expertrag.runtime.error_mapping import translate_errors
from expertrag.runtime.threads import share_cores

_EXITS = "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())


@click.group(
    cls=ExtensibleGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nExit codes:\n{_EXITS}",
)
@click.version_option(__version__, "--version", message="expertrag %(version)s")
def cli() -> None:
    """Answer questions from your own documents, and retrieve only when it helps.

    Results go to stdout (JSON with --json), logs and progress to stderr. Precedence: flag, then
    EXPERTRAG_… environment variable, then --config file, then default.
    """


for command in (ask, chat, completion, doctor, gate, index, llm, models, retrieve):
    cli.add_command(command)
for command in (adapters, health, mcp, serve, tokens):
    cli.add_command(command)
for command in (
    backup,
    compact,
    create,
    follow,
    list_documents,
    pull,
    push,
    repair,
    restore,
    show,
    list_skipped,
    stats,
    sync,
    verify,
    watch,
):
    index.add_command(command)
for command in (feedback, replay):
    gate.add_command(command)


def main() -> NoReturn:
    """Run the command line and exit the process."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # our messages say what failed
    share_cores()
    try:
        with translate_errors():
            answer_the_shell(cli)
            # Not cli.main(): click would handle Ctrl-C and a closed pipe itself, with exit code 1.
            with cli.make_context("expertrag", sys.argv[1:]) as context:
                cli.invoke(context)
            sys.stdout.flush()
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()  # the help
        sys.exit(ExitCode.USAGE)
    except click.ClickException as error:
        click.echo(f"error: {usage_message(error)}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit: give it somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.BROKEN_PIPE)
    except Exception as error:
        if os.environ.get("EXPERTRAG_DEBUG"):
            traceback.print_exc()
        click.echo(f"error: {message_of(error)}", err=True)
        sys.exit(exit_code_of(error))
    sys.exit(ExitCode.OK)


def usage_message(error: click.ClickException) -> str:
    """Return the usage error as one line, with the command that shows the help."""
    text = " ".join(error.format_message().split())
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{text} (see `{context.command_path} --help`)" if context else text


if __name__ == "__main__":
    main()
