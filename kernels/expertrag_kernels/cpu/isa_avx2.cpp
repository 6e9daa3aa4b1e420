#define EXPERTRAG_ISA avx2
#include "tile_portable.h"
//
#include "forward.h"
#include "pack.h"
