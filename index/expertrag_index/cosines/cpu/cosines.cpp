#include "cosines.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace expertrag {

namespace {

struct Sums {
  float dot, square;  // of a vector with the query, and with itself
};

float to_float(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, exponent = (half >> 10) & 31, digits = half & 1023;
  if (exponent == 0) {  // zero, or smaller than the normal numbers
    const float value = std::ldexp(static_cast<float>(digits), -24);
    return sign ? -value : value;
  }
  const uint32_t scale = exponent == 31 ? 255 : exponent + 112;  // infinite, not a number
  const uint32_t bits = sign | scale << 23 | digits << 13;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

Sums sums_plain(const uint16_t* vector, const float* query, size_t from, size_t dimension) {
  Sums sums{0, 0};
  for (size_t i = from; i < dimension; ++i) {
    const float value = to_float(vector[i]);
    sums.dot += value * query[i];
    sums.square += value * value;
  }
  return sums;
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c,fma"))) float added(__m256 values) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

__attribute__((target("avx,f16c,fma"))) Sums sums_of(const uint16_t* vector, const float* query,
                                                     size_t dimension) {
  __m256 dot = _mm256_setzero_ps(), square = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + 8 <= dimension; i += 8) {
    const __m256 values =
        _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(vector + i)));
    dot = _mm256_fmadd_ps(values, _mm256_loadu_ps(query + i), dot);
    square = _mm256_fmadd_ps(values, values, square);
  }
  const Sums rest = sums_plain(vector, query, i, dimension);
  return {added(dot) + rest.dot, added(square) + rest.square};
}

bool has_f16c() {
  static const bool found = __builtin_cpu_supports("avx") && __builtin_cpu_supports("fma") &&
                            __builtin_cpu_supports("f16c");
  return found;
}
#else
Sums sums_of(const uint16_t* vector, const float* query, size_t dimension) {
  return sums_plain(vector, query, 0, dimension);
}

bool has_f16c() { return false; }
#endif

// Reads all bytes; returns as `cosines` does.
int read_all(int file, void* into, size_t size, int64_t offset) {
  auto* next = static_cast<char*>(into);
  while (size > 0) {
    const ssize_t read = pread(file, next, size, offset);
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) return errno;
    if (read == 0) return FILE_ENDS;
    next += read;
    offset += read;
    size -= read;
  }
  return 0;
}

}  // namespace

void ask_for(const Rows& rows, const int64_t* wanted, size_t count) {
#if defined(POSIX_FADV_WILLNEED)
  const int64_t size = 2 * rows.dimension;
  for (size_t i = 0; i < count; ++i)  // an error costs only time
    posix_fadvise(rows.file, rows.start + wanted[i] * size, size, POSIX_FADV_WILLNEED);
#endif
}

int cosines(const Rows& rows, const int64_t* wanted, size_t count, const float* query, float* out) {
  const size_t size = 2 * rows.dimension;
  std::vector<uint16_t> vector(rows.dimension);
  for (size_t i = 0; i < count; ++i) {
    const int64_t offset = rows.start + wanted[i] * static_cast<int64_t>(size);
    if (const int error = read_all(rows.file, vector.data(), size, offset)) return error;
    const Sums sums = has_f16c() ? sums_of(vector.data(), query, rows.dimension)
                                   : sums_plain(vector.data(), query, 0, rows.dimension);
    out[i] = sums.dot / std::sqrt(sums.square);
  }
  return 0;
}

}  // namespace expertrag
