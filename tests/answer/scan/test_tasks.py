"""Tasks of a scan: what code settles without the model."""

from __future__ import annotations

import pytest
from scan_samples import condition

from expertrag.answer.scan.conditions import Operator
from expertrag.answer.scan.plan import Attribute
from expertrag.answer.scan.result import Reading
from expertrag.answer.scan.tasks import ReadingTask
from expertrag.answer.scan.values import Kind

TEXT = "Anna Meier signed it on 3 May 2025. It runs for two years from 1 June 2025."
IN_2026 = condition(Kind.DATE, Operator.IS, "2026")
IN_2027 = condition(Kind.DATE, Operator.IS, "2027")


def _settled(attribute: Attribute) -> Reading | None:
    return ReadingTask.of("id", TEXT, attribute, "contracts", "model", "salt").settle()


@pytest.mark.parametrize(
    "attribute",
    [
        Attribute("fee", Kind.MONEY),
        Attribute("end date", Kind.DATE, IN_2026),
    ],
)
def test_a_value_that_is_not_there_is_not_read(attribute: Attribute) -> None:
    settled = _settled(attribute)
    assert settled is not None
    assert (settled.normal, settled.p) == (None, 1.0)


@pytest.mark.parametrize(
    "attribute",
    [
        Attribute("end date", Kind.DATE),
        Attribute("end date", Kind.DATE, IN_2027),  # two years later
        Attribute("signatory", Kind.NAME),
        Attribute("signatory", Kind.NAME, condition(Kind.NAME, Operator.IS, "Ms Meier")),
        Attribute("Is it signed?", Kind.YESNO),
    ],
)
def test_what_may_match_is_read(attribute: Attribute) -> None:
    assert _settled(attribute) is None


def test_a_name_that_does_not_occur_is_another() -> None:
    other = condition(Kind.NAME, Operator.IS, "Tom Berg")
    settled = _settled(Attribute("signatory", Kind.NAME, other))
    assert settled is not None
    assert settled.normal is not None
    assert other.holds(settled.normal) is False
