"""The inference engine: continuous batching over a paged KV cache, on CPU and GPU."""
