"""The compiled kernels; see cpu/module.cpp."""

def usable_isas() -> list[str]: ...
def forward(
    isa: str,
    format: int,
    activation: int,
    experts: int,
    hidden: int,
    inner: int,
    data: int,
    x: int,
    bf16: bool,
    tokens: int,
    top_k: int,
    index: int,
    weights: int,
    out: int,
    threads: int,
    /,
) -> None: ...
def pack(
    isa: str,
    format: int,
    experts: int,
    hidden: int,
    inner: int,
    gate_up: int,
    down: int,
    bf16: bool,
    data: int,
    threads: int,
    /,
) -> None: ...
def block_bytes(format: int, k: int, /) -> int: ...
def read_seconds(data: int, bytes: int, threads: int, /) -> float: ...
def bf16_flops(threads: int, /) -> float: ...
