"""Rerankers by folder: scores as the libraries compute them, in our batches."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from reranker_fixtures import make_cross_encoder

from expertrag_retriever.errors import RerankerError
from expertrag_retriever.rerank.bundle import WEIGHTS, load_bundle, open_network, read_settings
from expertrag_retriever.rerank.loading import load_reranker

QUERY = "When are roses pruned?"
TEXTS = [
    "Roses are pruned in March, above a bud that faces outwards.",
    "",
    "Compost " * 200,
    "A B-tree index finds rows by equality and by range.",
    *(f"Rose {number} " * number for number in range(1, 30)),
]


def test_a_cross_encoder_scores_as_in_its_library(cross_encoder_folder: Path) -> None:
    from sentence_transformers import CrossEncoder

    plain = CrossEncoder(str(cross_encoder_folder), device="cpu")
    wanted = plain.predict([(QUERY, text) for text in TEXTS], activation_fn=lambda x: x)
    reranker = load_reranker(str(cross_encoder_folder), device="cpu")
    assert reranker.score(QUERY, TEXTS) == pytest.approx(np.array(wanted), abs=0.01)
    assert reranker.max_tokens == 96
    assert reranker.search_weight == 0
    counted = reranker.count_tokens(QUERY, TEXTS)
    assert counted[2] > 200 > counted[0] > counted[1]
    assert reranker.score(QUERY, []).shape == (0,)


def test_the_fingerprint_follows_the_files(cross_encoder_folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(cross_encoder_folder, tmp_path / "copy"))
    first = load_reranker(str(copied), name="mine")
    assert first.name == "mine"
    assert first.fingerprint == load_reranker(str(cross_encoder_folder)).fingerprint
    (copied / "special.json").write_text("{}")
    assert load_reranker(str(copied)).fingerprint != first.fingerprint


def test_more_than_one_score_is_refused(minilm_path: Path, tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path, minilm_path, scores=3)
    with pytest.raises(RerankerError, match="gives 3 scores"):
        load_reranker(str(folder))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all"])
def test_a_missing_folder_is_named(name: str) -> None:
    with pytest.raises(RerankerError, match="no reranker folder"):
        load_reranker(name)


def test_a_damaged_folder_says_what_to_do(cross_encoder_folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(cross_encoder_folder, tmp_path / "copy"))
    (copied / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(RerankerError, match=r"cannot load reranker .*: name the folder"):
        load_reranker(str(copied))


def test_a_bundle_is_merged_into_its_base(reranker_bundle: Path, minilm_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    network, tokens = open_network(minilm_path, rank=4, max_tokens=128)
    state = {name: value.float() for name, value in load_file(reranker_bundle / WEIGHTS).items()}
    network.load_state_dict(state, strict=False)
    with torch.inference_mode():
        wanted = network(tokens.features(QUERY, TEXTS)).numpy()
    assert float(np.ptp(wanted)) > 0.05
    reranker = load_reranker(str(reranker_bundle), resolve=lambda _: str(minilm_path))
    assert reranker.score(QUERY, TEXTS) == pytest.approx(wanted, abs=0.05)
    assert reranker.search_weight == 2.0
    alone = [float(reranker.score(QUERY, [text])[0]) for text in TEXTS]
    assert alone == pytest.approx(wanted, abs=0.05)


def test_a_bundle_needs_its_own_base(reranker_bundle: Path, minilm_path: Path) -> None:
    with pytest.raises(RerankerError, match="a different version of all-minilm-l6-v2"):
        load_bundle(reranker_bundle, minilm_path, "another")


def test_a_damaged_bundle_is_found_before_it_is_parsed(
    reranker_bundle: Path, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(reranker_bundle, tmp_path / "copy"))
    (copied / WEIGHTS).write_bytes((copied / WEIGHTS).read_bytes()[:-1] + b"?")
    with pytest.raises(RerankerError, match=r"is damaged .* train it again"):
        read_settings(copied)


def test_a_bundle_of_other_settings_is_damaged(reranker_bundle: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(reranker_bundle, tmp_path / "copy"))
    body = json.loads((copied / "reranker.json").read_text())
    body["settings"]["shape"] = 3
    (copied / "reranker.json").write_text(json.dumps(body))
    (copied / "SHA256SUMS").unlink()
    with pytest.raises(RerankerError, match="is damaged"):
        read_settings(copied)


def test_a_base_that_is_no_bert_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RerankerError, match="not a BERT encoder"):
        open_network(tmp_path, rank=4, max_tokens=128)
