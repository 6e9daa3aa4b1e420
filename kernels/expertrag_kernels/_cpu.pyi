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
    biased: bool,
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
def pack_matrix(
    isa: str,
    format: int,
    outputs: int,
    inputs: int,
    weights: int,
    bf16: bool,
    data: int,
    threads: int,
    /,
) -> None: ...

View = tuple[int, int, int]
Matrix = tuple[int, int, int, int]

def expert_place_bytes(bytes: int, /) -> int: ...

class Program:
    def __init__(
        self,
        format: int,
        pages: int,
        heads: int,
        own: int,
        shared: int,
        value: int,
        data: int,
        /,
    ) -> None: ...
    def slot(self, width: int, /) -> int: ...
    def embed(self, to: int, table: Matrix, scale: float, /) -> None: ...
    def norm(
        self,
        from_: View,
        to: View,
        width: int,
        parts: int,
        weight: int,
        epsilon: float,
        bias: int,
        /,
    ) -> None: ...
    def linear(self, from_: View, to: View, weights: Matrix, bias: int, add: bool, /) -> None: ...
    def rope(
        self, at: View, heads: int, width: int, interleaved: bool, cos: int, sin: int, /
    ) -> None: ...
    def attend(
        self,
        query: View,
        key: View,
        shared_key: View,
        value: View,
        to: View,
        layer: int,
        heads: int,
        scale: float,
        window: int,
        sinks: int,
        /,
    ) -> None: ...
    def route(
        self,
        logits: View,
        experts: int,
        top_k: int,
        sigmoid: bool,
        normalise: bool,
        groups: int,
        top_groups: int,
        scale: float,
        correction: int,
        margin: float,
        nulls: int,
        light: int,
        /,
    ) -> None: ...
    def light(
        self,
        from_: View,
        scaled: View,
        to: View,
        count: int,
        experts: int,
        neurons: int,
        hidden: int,
        vectors: int,
        /,
    ) -> None: ...
    def mix(
        self,
        from_: int,
        to: int,
        top_k: int,
        format: int,
        activation: int,
        count: int,
        hidden: int,
        inner: int,
        data: int,
        biased: bool,
        /,
    ) -> None: ...
    def keep(self, from_: View, width: int, scale: float, /) -> None: ...
    def pick(self, from_: int, to: int, /) -> None: ...
    def limit_experts(self, path: str, bytes: int, starts: list[int], /) -> None: ...
    def prefer_experts(self, open: int, width: int, /) -> None: ...
    def expert_counters(self) -> tuple[int, int, int, int, float]: ...

class Adapter:
    def __init__(self, bf16: bool, /) -> None: ...
    def add(
        self, matrix: int, first: int, blocks: int, rank: int, down: int, up: int, /
    ) -> None: ...

def decode(
    isa: str,
    program: Program,
    rows: int,
    tokens: int,
    positions: int,
    texts: list[tuple[int, int, int, list[Adapter]]],
    picked: int,
    picked_rows: int,
    watched: int,
    watched_rows: int,
    kept: int,
    out: int,
    threads: int,
    experts: int,
    routing: int,
    used: int,
    open: int,
    open_width: int,
    /,
) -> None: ...
def block_bytes(format: int, k: int, /) -> int: ...
def read_seconds(data: int, bytes: int, threads: int, /) -> float: ...
def bf16_flops(threads: int, /) -> float: ...
def int8_products(threads: int, /) -> float: ...

Panels = tuple[int, int, int]
Dense = tuple[Panels, int, list[Panels], list[Panels]]
Norm = tuple[int, int]

class Encoder:
    def __init__(
        self,
        hidden: int,
        inner: int,
        heads: int,
        epsilon: float,
        words: int,
        positions: int,
        norm: Norm,
        /,
    ) -> None: ...
    def layer(
        self,
        query_key_value: Dense,
        attention_output: Dense,
        after_attention: Norm,
        up: Dense,
        down: Dense,
        after_down: Norm,
        /,
    ) -> None: ...

def encoder_isas() -> list[str]: ...
def encode(
    isa: str,
    encoder: Encoder,
    texts: int,
    starts: int,
    tokens: int,
    top_k: int,
    experts: int,
    weights: int,
    first: int,
    last: int,
    states: int,
    means: int,
    /,
) -> None: ...
