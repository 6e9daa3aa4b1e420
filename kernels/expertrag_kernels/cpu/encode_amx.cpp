#define EXPERTRAG_ISA amx
#include "panel_amx.h"
//
#include "encode.h"
