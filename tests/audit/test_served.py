"""What a server tells of its log: its collection's decisions, the latest ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from audit_fixtures import WriteLog, make_entry

from expertrag.api.decisions import CountExpertsRequest, ListQuestionsRequest, ReplayRequest
from expertrag.api.errors import Conflict, InvalidArgument, NotFound
from expertrag.api.types import Feedback
from expertrag.audit import Audit, served
from expertrag.audit.served import ServedLog


def test_only_decisions_of_the_collection_count(write_log: WriteLog) -> None:
    entries = [
        make_entry(1, 0.9, question="Mine?"),
        make_entry(2, 0.9, question="Theirs?", collection="acme/default"),
        make_entry(3, 0.2, question="Other?", collection="wiki"),
    ]
    audit = Audit(write_log(entries))
    for collection, question in (("", "Mine?"), ("acme/default", "Theirs?"), ("wiki", "Other?")):
        log = ServedLog(audit, collection)
        assert log.replay(ReplayRequest(threshold=0.5)).logged.decisions == 1
        (found,) = log.questions(ListQuestionsRequest()).questions
        assert found.question == question
        assert len(log.experts(CountExpertsRequest()).counts) == 1
    with pytest.raises(NotFound, match="no decision has been logged for this collection"):
        ServedLog(audit, "globex/default").questions(ListQuestionsRequest())


def test_the_least_certain_first_without_those_that_are_corrected(write_log: WriteLog) -> None:
    entries = [
        make_entry(1, 0.9, question="Far?"),
        make_entry(2, 0.52, question="Near?"),
        make_entry(3, 0.55, question="Next?"),
        make_entry(4, 0.9, question="next? "),
    ]
    said = [Feedback(entries[3].id, correct_answer="Yes."), Feedback(entries[0].id, helpful=True)]
    log = ServedLog(Audit(write_log(entries, said)), "")
    found = log.questions(ListQuestionsRequest())
    assert [item.question for item in found.questions] == ["Near?", "Far?"]
    assert (found.total, found.corrected) == (2, 1)
    assert found.questions[0].p_benefit == 0.52
    first = log.questions(ListQuestionsRequest(limit=1))
    assert (len(first.questions), first.total) == (1, 2)


def test_a_target_rate_and_the_histogram(write_log: WriteLog) -> None:
    values = (0.0, 0.04, 0.05, 0.5, 0.99, 1.0)
    entries = [make_entry(number, p) for number, p in enumerate(values)]
    found = ServedLog(Audit(write_log(entries)), "").replay(ReplayRequest(target_rate=0.5))
    assert found.policy == "rate:0.5"
    assert (found.threshold, found.replayed.retrievals) == (0.5, 3)
    assert found.histogram == (2, 1, *[0] * 7, 0, 1, *[0] * 8, 2)


def test_the_latest_decisions_are_read(
    write_log: WriteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_log([make_entry(number, 0.9) for number in range(5)])
    path.rename(path.with_name(f"{path.name}.1"))
    write_log([make_entry(number, 0.1) for number in range(5, 8)])
    monkeypatch.setattr(served, "LATEST", 4)
    outcome = ServedLog(Audit(path), "").replay(ReplayRequest(threshold=0.5)).logged
    assert (outcome.decisions, outcome.retrievals) == (4, 1)


@pytest.mark.parametrize("request_", [ReplayRequest(), ReplayRequest(0.1, 0.2), ReplayRequest(1.5)])
def test_bad_policies(write_log: WriteLog, request_: ReplayRequest) -> None:
    with pytest.raises(InvalidArgument):
        ServedLog(Audit(write_log([make_entry(1)])), "").replay(request_)


def test_bad_limits(write_log: WriteLog) -> None:
    log = ServedLog(Audit(write_log([make_entry(1)])), "")
    for limit in (0, 1_001):
        with pytest.raises(InvalidArgument, match="limit"):
            log.questions(ListQuestionsRequest(limit))
    for periods in (0, 201):
        with pytest.raises(InvalidArgument, match="periods"):
            log.experts(CountExpertsRequest(periods))


def test_without_a_log_and_before_the_first_decision(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="--audit-path"):
        ServedLog(Audit(), "").replay(ReplayRequest(0.5))
    for path in (tmp_path / "none.jsonl", tmp_path / "empty.jsonl"):
        (tmp_path / "empty.jsonl").touch()
        with pytest.raises(NotFound, match="no decision"):
            ServedLog(Audit(path), "").replay(ReplayRequest(0.5))
