#define EXPERTRAG_ISA avx512bf16
#include "tile_int4_avx512bf16.h"
#include "tile_mxfp4_avx512bf16.h"
//
#include "decode.h"
#include "pack.h"
