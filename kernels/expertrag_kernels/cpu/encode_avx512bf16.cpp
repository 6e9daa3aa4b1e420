#define EXPERTRAG_ISA avx512bf16
#include "panel_avx512bf16.h"
//
#include "encode.h"
