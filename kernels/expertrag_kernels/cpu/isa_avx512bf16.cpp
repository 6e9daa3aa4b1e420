#define EXPERTRAG_ISA avx512bf16
#include "tile_avx512bf16.h"
//
#include "forward.h"
#include "pack.h"
