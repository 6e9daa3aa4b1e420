"""The group ``expertrag train`` with all of its commands."""

from __future__ import annotations

from expertrag_lab.cli.gate import fit
from expertrag_lab.cli.probe import probe
from expertrag_lab.cli.reader import reader
from expertrag_lab.cli.router import train as train_router
from expertrag_lab.cli.train import train

for command in (reader, probe, fit, train_router):
    train.add_command(command)

__all__ = ["train"]
