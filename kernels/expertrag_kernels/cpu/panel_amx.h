// Rows by panels with AMX (Sapphire Rapids and later): the sums are in tile registers.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace expertrag {
namespace EXPERTRAG_ISA {

// The compiler does not know that tile instructions read and write memory.
inline void memory_barrier() { asm volatile("" ::: "memory"); }

// Configures the tile registers of a thread: 16 rows of 64 bytes.
class TileRegisters {
 public:
  TileRegisters() {
    struct {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } shape;
    for (int tile = 0; tile < 8; ++tile) {
      shape.row_bytes[tile] = 64;
      shape.rows[tile] = 16;
    }
    memory_barrier();
    _tile_loadconfig(&shape);
  }
  ~TileRegisters() { _tile_release(); }
};

// The products of 16R rows with two panels.
template <int R>
struct PanelSums {
  void clear() {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (R == 2) {
      _tile_zero(2);
      _tile_zero(3);
    }
  }

  // Add those of `inputs` values of rows that are `stride` apart.
  void add(const uint16_t* x, int64_t stride, const uint16_t* panels, int64_t inputs) {
    const uint16_t* second = panels + inputs * 16;
    memory_barrier();
    for (int64_t k = 0; k < inputs; k += 32) {
      _tile_loadd(6, panels + k * 16, 64);
      _tile_loadd(4, x + k, stride * 2);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, second + k * 16, 64);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (R == 2) {
        _tile_loadd(5, x + 16 * stride + k, stride * 2);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
    }
  }

  void store(float* to, int64_t stride) {
    _tile_stored(0, to, stride * 4);
    _tile_stored(1, to + 16, stride * 4);
    if constexpr (R == 2) {
      _tile_stored(2, to + 16 * stride, stride * 4);
      _tile_stored(3, to + 16 * stride + 16, stride * 4);
    }
    memory_barrier();
  }
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
