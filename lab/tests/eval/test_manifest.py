"""The manifest: the id depends on the inputs only."""

from __future__ import annotations

import dataclasses
import json

from expertrag_lab.eval.manifest import make_manifest


def test_the_id_depends_on_the_inputs_only() -> None:
    one = make_manifest("answer", {"seed": 0, "sets": {"a": "1"}})
    assert one.id == make_manifest("answer", {"sets": {"a": "1"}, "seed": 0}).id
    assert one.id != make_manifest("answer", {"seed": 1, "sets": {"a": "1"}}).id
    assert one.id != make_manifest("gate", {"seed": 0, "sets": {"a": "1"}}).id


def test_a_manifest_describes_the_machine() -> None:
    manifest = json.loads(json.dumps(dataclasses.asdict(make_manifest("gate", {}))))
    assert manifest["machine"]["cores"] >= 1
    assert manifest["machine"]["packages"]["torch"]
    assert manifest["created_at"].endswith("+00:00")
