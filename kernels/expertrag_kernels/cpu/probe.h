// Measures the limits of this machine, with which benchmarks compare.
#pragma once

#include <cstdint>

namespace expertrag {

// Seconds that reading `bytes` once takes.
double read_seconds(const uint8_t* data, int64_t bytes, int threads);

// Floating point operations a second of bfloat16 multiply-adds in registers; needs AVX512-BF16.
double bf16_flops(int threads);

// Multiply-adds a second of bytes in registers; needs AVX512-VNNI.
double int8_products(int threads);

// Whether the processor has AMX for bfloat16, and the system lets this process use it.
bool amx_usable();

}  // namespace expertrag
