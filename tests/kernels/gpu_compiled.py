"""Compile the GPU kernels to machine code, which needs no GPU, and print the results as JSON.

Run by test_gpu.py, in a process of its own: with TRITON_INTERPRET nothing compiles.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from expertrag_kernels.gpu import attention_kernels, kernels
from expertrag_kernels.gpu.tiles import choose_tiles

ARCHITECTURES = (80, 90, 100)


def compiled(
    kernel: Any,
    arch: int,
    types: dict[str, str],
    constants: dict[str, Any],
    warps: int,
    stages: int,
) -> dict[str, Any]:
    names = kernel.arg_names
    signature = {name: types.get(name, "constexpr") for name in names}
    assert set(types) | set(constants) == set(names), set(names) ^ (set(types) | set(constants))
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(names.index(name),): value for name, value in constants.items()},
        # as at run time, where widths and addresses are multiples of 16
        attrs={
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(names)
            if types.get(name, "").startswith("*") or name in ("hidden", "inner")
        },
    )
    options = {"num_warps": warps, "num_stages": stages}
    found = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    return {
        "kernel": kernel.fn.__name__,
        "arch": arch,
        "shared": found.metadata.shared,
        "wgmma": "wgmma.mma_async" in found.asm["ptx"],
        "spills": spills(found.asm["cubin"]),
    }


def spills(cubin: bytes) -> int:
    """Return the bytes of local memory per thread, from a table in the machine code."""
    tool = next(Path(triton.__file__).parent.rglob("cuobjdump"), None)
    assert tool is not None, "triton's wheel carries cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run(
            [tool, "-res-usage", file.name], capture_output=True, text=True, check=True
        )
    local = re.findall(r"LOCAL:(\d+)", done.stdout + done.stderr)
    return max(map(int, local), default=0)


def attention(arch: int, width: int) -> dict[str, Any]:
    pointers = {"query": "*bf16", "keys": "*bf16", "values": "*bf16"}
    pointers |= {"tables": "*i32", "lengths": "*i32", "averages": "*fp32", "sums": "*fp32"}
    integers = ("query_row", "query_head", "table_row", "heads", "groups", "width", "value_width")
    types = {**pointers, **dict.fromkeys((*integers, "window"), "i32"), "scale": "fp32"}
    constants = {"PAGE": 64, "PARTS": 8, "SHARING": 16, "UPCAST": False}
    constants |= {"WIDTH": width, "VALUE_WIDTH": width}
    return compiled(attention_kernels.attend_parts, arch, types, constants, 4, 3)


def main() -> None:
    rows = []
    for arch in ARCHITECTURES:
        integers = dict.fromkeys(("pairs", "blocks", "experts", "top_k", "hidden", "inner"), "i32")

        def some(names: list[str], integers: dict[str, str] = integers) -> dict[str, str]:
            return {name: integers[name] for name in names if name in integers}

        kernel: Any = kernels.align_pairs
        pointers = {"index": "*i64", "pairs_of_places": "*i32", "expert_of_blocks": "*i32"}
        constants = {"BLOCK_M": 16, "EXPERTS": 128, "CHUNK": 64}
        types = {**pointers, **some(kernel.arg_names)}
        rows.append(compiled(kernel, arch, types, constants, 8, 3))
        kernel = kernels.add_up
        types = {"y": "*fp32", "index": "*i64", "out": "*bf16", **some(kernel.arg_names)}
        rows.append(compiled(kernel, arch, types, {"BLOCK_N": 256}, 4, 3))
        for each, weights in [(r, "bf16") for r in (1, 32, 64, 256)] + [
            (1, "i8"),
            (256, "fp8e4nv"),
        ]:
            if weights == "fp8e4nv" and arch < 89:
                continue  # no such numbers before
            tiles = choose_tiles(each * 64, 64, 2048, 1024, weights, "none")
            tile = {
                "SCALED": weights != "bf16",
                "BIASED": weights == "bf16" and each == 32,
                "UPCAST": False,
                "BLOCK_M": tiles.block_m,
                "BLOCK_N": tiles.block_n,
                "BLOCK_K": tiles.block_k,
            }
            places = {"pairs_of_places": "*i32", "expert_of_blocks": "*i32", "biases": "*bf16"}
            activation = "clamped_swiglu" if tile["BIASED"] else "silu"
            first = {"x": "*bf16", "weights": f"*{weights}", "scales": "*fp32", "h": "*bf16"}
            second = {"h": "*bf16", "weights": f"*{weights}", "scales": "*fp32"}
            second |= {"routing": "*fp32", "y": "*fp32"}
            for kernel, own, more in (
                (kernels.gate_up_pairs, first, {"ACTIVATION": activation}),
                (kernels.down_pairs, second, {}),
            ):
                types = {**places, **own, **some(kernel.arg_names)}
                row = compiled(kernel, arch, types, {**tile, **more}, tiles.warps, tiles.stages)
                rows.append({**row, "block_m": tiles.block_m, "weights": weights})
        rows += [attention(arch, width) for width in (64, 128, 256)]
    sys.stdout.write(json.dumps([{"block_m": 0, "weights": "", **row} for row in rows]))


if __name__ == "__main__":
    main()
