"""Packed experts on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from expertrag_kernels import Format, PlainExperts, fused_experts, load_packed, pack, save_packed
from expertrag_kernels.packed import PackedExperts


def _layers() -> dict[str, PackedExperts]:
    torch.manual_seed(0)
    plain = PlainExperts(torch.randn(3, 80, 33), torch.randn(3, 33, 40))
    return {f"layer {format}": pack(plain, format) for format in Format}


@pytest.mark.parametrize("mapped", [False, True])
def test_layers_come_back(tmp_path: Path, mapped: bool) -> None:
    layers = _layers()
    save_packed(layers, tmp_path / "experts.safetensors")
    found = load_packed(tmp_path / "experts.safetensors", mapped=mapped)
    assert found.keys() == layers.keys()
    x, index, weights = torch.randn(4, 33), torch.tensor([[0, 2]] * 4), torch.ones(4, 2)
    for name, layer in layers.items():
        assert torch.equal(found[name].data, layer.data)
        assert found[name].data.data_ptr() % 64 == 0
        assert torch.equal(
            fused_experts(x, index, weights, found[name]), fused_experts(x, index, weights, layer)
        )


def test_the_file_is_one_of_safetensors(tmp_path: Path) -> None:
    layers = _layers()
    save_packed(layers, tmp_path / "experts.safetensors")
    with safe_open(tmp_path / "experts.safetensors", "pt") as file:
        assert set(file.keys()) == set(layers)
        assert torch.equal(file.get_tensor("layer int4"), layers["layer int4"].data)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "experts.safetensors"
    save_packed(_layers(), path)
    whole = path.read_bytes()
    for damaged, why in (
        (whole[:-1000], "size"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "checksum"),
        (whole[:20], "damaged"),
        (b"", "damaged"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=why):
            load_packed(path)
    with pytest.raises(ValueError, match="no packed experts"):
        load_packed(tmp_path / "none")
    with pytest.raises(ValueError, match="no layers"):
        save_packed({}, path)
