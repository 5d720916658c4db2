"""Bytes of one placement: weights, KV cache, activations, graphs, overhead, host."""
