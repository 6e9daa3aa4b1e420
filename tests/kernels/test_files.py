"""Packed weights on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from expertrag_kernels import (
    Format,
    Packed,
    PackedExperts,
    PackedMatrix,
    PlainExperts,
    files,
    fused_experts,
    load_packed,
    pack,
    save_packed,
    verify_packed,
)
from expertrag_kernels.layout import pack_matrix


def _weights() -> dict[str, Packed]:
    """Experts and a matrix of each format, and vectors whose sizes are not multiples of 64."""
    torch.manual_seed(0)
    plain = PlainExperts(torch.randn(3, 80, 33), torch.randn(3, 33, 40))
    found: dict[str, Packed] = {"norm": torch.randn(33), "bias": torch.randn(7)}
    for format in Format:
        found[f"layer {format}"] = pack(plain, format)
        found[f"matrix {format}"] = pack_matrix(torch.randn(70, 33), format)
    return found


@pytest.mark.parametrize("mapped", [False, True])
def test_weights_survive_a_round_trip(tmp_path: Path, mapped: bool) -> None:
    weights = _weights()
    save_packed(weights, tmp_path / "packed.safetensors")
    found = load_packed(tmp_path / "packed.safetensors", mapped=mapped)
    verify_packed(tmp_path / "packed.safetensors")
    with safe_open(tmp_path / "packed.safetensors", "pt") as file:  # a valid one
        assert set(file.keys()) == set(weights) == found.keys()
        stored = {name: file.get_tensor(name) for name in weights}
    x, index, shares = torch.randn(4, 33), torch.tensor([[0, 2]] * 4), torch.ones(4, 2)
    for name, wanted in weights.items():
        loaded = found[name]
        if isinstance(wanted, torch.Tensor):
            assert isinstance(loaded, torch.Tensor)
            assert torch.equal(loaded, wanted) and torch.equal(stored[name], wanted)
            continue
        assert not isinstance(loaded, torch.Tensor)
        assert torch.equal(loaded.data, wanted.data) and loaded.format is wanted.format
        assert torch.equal(stored[name], wanted.data)
        assert loaded.data.data_ptr() % 64 == 0
        if isinstance(wanted, PackedMatrix):
            assert isinstance(loaded, PackedMatrix)
            assert (loaded.outputs, loaded.inputs) == (70, 33)
        else:
            assert isinstance(loaded, PackedExperts)
            assert torch.equal(
                fused_experts(x, index, shares, loaded), fused_experts(x, index, shares, wanted)
            )


def test_files_of_earlier_versions_do_not_speak_of_biases(tmp_path: Path) -> None:
    path = tmp_path / "packed.safetensors"
    weights = _weights()
    save_packed(weights, path)
    whole = path.read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")
    header = whole[8:size].replace(b', \\"biased\\": false', b"")
    assert len(header) < size - 8
    path.write_bytes(whole[:8] + header.ljust(size - 8) + whole[size:])
    for name, found in load_packed(path).items():
        if isinstance(found, PackedExperts):
            assert not found.biased
            wanted = weights[name]
            assert isinstance(wanted, PackedExperts) and torch.equal(found.data, wanted.data)


def test_rejects_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "packed.safetensors"
    save_packed(_weights(), path)
    whole = path.read_bytes()
    for damaged, why in (
        (whole[:-1000], "size"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "checksum of bias does not match"),
        (whole[:20], "damaged"),
        (b"", "damaged"),
    ):
        path.write_bytes(damaged)
        for read in (load_packed, verify_packed):
            with pytest.raises(ValueError, match=why):
                read(path)
    with pytest.raises(ValueError, match="no packed weights"):
        load_packed(tmp_path / "none")
    save_file({"norm": torch.ones(3)}, path)
    with pytest.raises(ValueError, match="no packed weights"):
        load_packed(path)


def test_rejects_weights_that_cannot_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "packed.safetensors"
    with pytest.raises(ValueError, match="nothing to save"):
        save_packed({}, path)
    with pytest.raises(ValueError, match=r"must be float32; got torch\.float64"):
        save_packed({"norm": torch.ones(3).double()}, path)
    assert not list(tmp_path.iterdir())


def test_rejects_another_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "packed.safetensors"
    monkeypatch.setattr(files, "VERSION", 7)
    save_packed(_weights(), path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"layout 7, but these kernels read layout 3: pack"):
        load_packed(path, mapped=True)


def test_only_mixtures_of_the_layout_before_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "packed.safetensors"
    alone = pack(PlainExperts(torch.randn(1, 80, 33), torch.randn(1, 33, 40)), "bf16")
    save_packed({"dense": alone}, path)
    with safe_open(path, "pt") as file:
        assert file.metadata()["layout"] == "2"  # as it was, and earlier versions read it
    assert load_packed(path).keys() == {"dense"}
    monkeypatch.setattr(files, "VERSION", 2)
    save_packed(_weights(), path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"layout 2, but these kernels read layout 3: pack"):
        load_packed(path)


def test_mixtures_are_mapped_and_the_rest_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "packed.safetensors"
    weights = _weights()
    save_packed(weights, path)
    for name, found in load_packed(path, mixtures_mapped=True).items():
        wanted = weights[name]
        if not isinstance(found, PackedExperts):
            continue
        assert isinstance(wanted, PackedExperts) and found.mapped is not None
        with path.open("rb") as file:
            file.seek(found.mapped.start)
            assert file.read(found.data.numel()) == wanted.data.numpy().tobytes()
