#define EXPERTRAG_ISA avx512
#include "tile_portable.h"
//
#include "forward.h"
#include "pack.h"
