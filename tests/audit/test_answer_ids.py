"""Ids of answers belong to the caller who got the answer, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag.api.errors import InvalidArgument
from expertrag.audit import Audit
from expertrag.audit.answer_ids import AnswerIds
from expertrag.config import AuditConfig


def test_an_id_belongs_to_its_caller(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    made = AnswerIds(log).new("ada")
    restarted = AnswerIds(log)
    assert restarted.belongs(made, "ada")
    assert not restarted.belongs(made, "eve")
    assert not AnswerIds(tmp_path / "other.jsonl").belongs(made, "ada")


def test_only_the_owner_reads_the_key(tmp_path: Path) -> None:
    AnswerIds(tmp_path / "audit.jsonl").new("ada")
    assert (tmp_path / "audit.jsonl.key").stat().st_mode & 0o777 == 0o600


def test_a_damaged_key_is_told_before_the_first_answer(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.with_name("audit.jsonl.key").write_bytes(b"short")
    with pytest.raises(InvalidArgument, match=r"^audit\.path: .*audit\.jsonl\.key is damaged"):
        Audit.of(AuditConfig(path=str(log)))
