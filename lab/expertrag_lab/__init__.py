"""The lab: train, evaluate, compress and convert what the service serves."""
