"""Chooses the tiles of a call: from a table tuned for its shape, or by rule."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

_TABLES = Path(__file__).with_name("tiles")


@dataclass(frozen=True, slots=True)
class Tiles:
    """Places, columns and inputs of a tile, and the warps and stages of a program."""

    block_m: int
    block_n: int
    block_k: int
    warps: int
    stages: int


def choose_tiles(
    pairs: int,
    experts: int,
    hidden: int,
    inner: int,
    dtype: str,
    arch: str,
    *,
    shared: int = 227 << 10,
    size: int = 2,
) -> Tiles:
    """Return the tiles for a number of pairs.

    :param dtype: dtype of the weights, as torch names it.
    :param arch: GPU architecture, such as "sm90".
    :param shared: bytes of shared memory available to a program.
    :param size: bytes per number in shared memory.
    """
    table = _table(f"E={experts},H={hidden},I={inner},dtype={dtype},arch={arch}.json")
    known = [most for most in table if pairs <= most]
    if known:
        return table[min(known)]
    tiles = _by_rule(pairs / experts)
    while tiles.stages > 1 and count_shared_bytes(tiles, size) > shared:
        tiles = replace(tiles, stages=tiles.stages - 1)
    while tiles.block_k > 16 and count_shared_bytes(tiles, size) > shared:
        tiles = replace(tiles, block_k=tiles.block_k // 2)
    return tiles


def count_shared_bytes(tiles: Tiles, size: int) -> int:
    """Bytes of shared memory for all stages: a tile of x, one of gate and one of up each."""
    return tiles.stages * (tiles.block_m + 2 * tiles.block_n) * tiles.block_k * size


def _by_rule(rows: float) -> Tiles:
    """Choose by the rows per expert: few rows are memory-bound and need long reads of weights."""
    if rows <= 16:
        return Tiles(16, 64, 128, 4, 4)
    if rows <= 48:
        return Tiles(32, 64, 128, 4, 4)
    if rows <= 96:
        return Tiles(64, 64, 64, 4, 4)
    return Tiles(128, 128, 64, 8, 3)


@cache
def _table(name: str) -> dict[int, Tiles]:
    """Read tuned tiles by the largest number of pairs that they are for."""
    file = _TABLES / name
    if not file.is_file():
        return {}
    return {int(most): Tiles(**tiles) for most, tiles in json.loads(file.read_text()).items()}
