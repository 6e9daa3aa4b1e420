"""Training: the reader, the gate, the probe, the router, and questions made of documents."""
