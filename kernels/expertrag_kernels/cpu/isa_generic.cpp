#define EXPERTRAG_ISA generic
#include "tile_portable.h"
//
#include "forward.h"
#include "pack.h"
