#define EXPERTRAG_ISA avx2
#include "tile_portable.h"
//
#include "decode.h"
#include "pack.h"
