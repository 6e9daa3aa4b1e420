"""Experts of GGUF files."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from expertrag_kernels import pack_gguf, unpacked

EXPERTS, HIDDEN, INNER = 3, 64, 96


def _write(
    path: Path, kind: gguf.GGMLQuantizationType, *, leave_out: str = "", experts: bool = True
) -> dict[str, np.ndarray]:
    """Write a file of one layer; returns its weights as it holds them."""
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "qwen3moe")
    held = {}
    shapes = {"gate": (INNER, HIDDEN), "up": (INNER, HIDDEN), "down": (HIDDEN, INNER)}
    for name, shape in shapes.items():
        if name == leave_out:
            continue
        weights = rng.normal(size=(EXPERTS, *shape)).astype(np.float32)
        data = gguf.quants.quantize(weights, kind)
        held[name] = gguf.quants.dequantize(data, kind)
        tensor = f"blk.4.ffn_{name}_exps.weight" if experts else f"blk.4.ffn_{name}.weight"
        writer.add_tensor(tensor, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


@pytest.mark.parametrize(
    ("kind", "format", "most"),
    [
        (gguf.GGMLQuantizationType.Q4_0, "int4", 1e-3),
        (gguf.GGMLQuantizationType.Q4_1, "int4", 1e-3),
        (gguf.GGMLQuantizationType.Q8_0, "int8", 0.01),
        (gguf.GGMLQuantizationType.F16, "f32", 0.0),
        (gguf.GGMLQuantizationType.F32, "f32", 0.0),
    ],
)
def test_weights_are_those_of_the_file(
    tmp_path: Path, kind: gguf.GGMLQuantizationType, format: str, most: float
) -> None:
    held = _write(tmp_path / "model.gguf", kind)
    ((layer, packed),) = pack_gguf(tmp_path / "model.gguf", format)
    assert layer == 4
    assert (packed.num_experts, packed.hidden_size, packed.inner_size) == (EXPERTS, HIDDEN, INNER)
    plain = unpacked(packed)
    wanted = torch.from_numpy(np.concatenate([held["gate"], held["up"]], axis=1))
    for found, exact in ((plain.gate_up, wanted), (plain.down, torch.from_numpy(held["down"]))):
        assert float((found - exact).norm() / exact.norm()) <= most


def test_files_without_experts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    _write(path, gguf.GGMLQuantizationType.F32, experts=False)
    with pytest.raises(ValueError, match="has no experts"):
        next(pack_gguf(path, "int4"))
    _write(path, gguf.GGMLQuantizationType.F32, leave_out="down")
    with pytest.raises(ValueError, match=r"lacks blk\.4\.ffn_down_exps\.weight"):
        next(pack_gguf(path, "int4"))
    writer = gguf.GGUFWriter(path, "gpt-oss")
    for name in ("gate", "up", "down"):
        writer.add_tensor(f"blk.0.ffn_{name}_exps.weight", np.zeros((2, 32, 32), np.float32))
    writer.add_tensor("blk.0.ffn_up_exps.bias", np.zeros((2, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match=r"another layout, with blk\.0\.ffn_up_exps\.bias"):
        next(pack_gguf(path, "int4"))
    path.write_bytes(b"no such thing")
    with pytest.raises(ValueError, match="is not a GGUF file"):
        next(pack_gguf(path, "int4"))
    with pytest.raises(ValueError, match="is not a GGUF file"):
        next(pack_gguf(tmp_path / "none.gguf", "int4"))
