#define EXPERTRAG_ISA avx512
#include "tile_portable.h"
//
#include "decode.h"
#include "pack.h"
