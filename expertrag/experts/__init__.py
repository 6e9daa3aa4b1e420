"""Surgery on experts: ``expertrag.experts.upcycle.upcycle`` makes them from a dense model."""
