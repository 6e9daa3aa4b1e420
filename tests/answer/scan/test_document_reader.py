"""Reads one document for a question, with the caller's salt, until nobody waits for it."""

from __future__ import annotations

import threading

import pytest
from scan_samples import OpenContext
from serving_fixtures import PacedGenerator

from expertrag.answer.scan.document_reader import DocumentReader, ScanEnded
from expertrag.answer.scan.plan import Attribute
from expertrag.answer.scan.values import Kind

RENEWS = Attribute("Does it renew?", Kind.YESNO)
TEXT = "It ends on 31 May 2025. It does not renew."


def test_a_document_is_read_with_the_salt_of_the_caller(
    ask: OpenContext, paced: PacedGenerator
) -> None:
    reader = DocumentReader(paced, ask("Which renew?", salt="guest"), "contracts", {})
    reading, session = reader.read(reader.task("a", TEXT, RENEWS), threading.Event())
    assert reading.p == 0.5  # the model gives no probabilities
    assert session is not None
    assert paced.open_sessions == 0
    assert reader.task("a", TEXT, RENEWS).key.salt == "guest"


def test_an_empty_document_is_unsure_or_does_not_give_the_value(
    ask: OpenContext, paced: PacedGenerator
) -> None:
    reader = DocumentReader(paced, ask("Which renew?"), "contracts", {})
    unsure, session = reader.read(reader.task("a", "", RENEWS), threading.Event())
    assert (unsure.p, session) == (0.5, None)


def test_nothing_is_read_after_the_end_of_the_scan(ask: OpenContext, paced: PacedGenerator) -> None:
    reader = DocumentReader(paced, ask("Which renew?"), "contracts", {})
    ended = threading.Event()
    ended.set()
    with pytest.raises(ScanEnded):
        reader.read(reader.task("a", TEXT, RENEWS), ended)
    assert paced.salts == []
