"""Training of the reader, the gate, the probe, the router; questions generated from documents."""
