"""Search the vectors of a generation: segments, filters, selections."""
