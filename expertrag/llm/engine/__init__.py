"""The inference engine: continuous batching over a KV cache in blocks, on CPU and GPU."""
