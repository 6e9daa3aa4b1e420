#define EXPERTRAG_ISA avx512bf16
#include "tile_avx512bf16.h"
//
#include "decode.h"
#include "pack.h"
