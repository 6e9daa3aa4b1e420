"""Surgery on experts: ``expertrag.llm.convert.upcycle.upcycle`` makes them from a dense model."""
