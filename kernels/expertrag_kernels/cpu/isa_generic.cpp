#define EXPERTRAG_ISA generic
#include "tile_portable.h"
//
#include "decode.h"
#include "pack.h"
