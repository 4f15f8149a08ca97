"""Kokoro on a GPU: the network in torch, with batches and CUDA graphs. No other part of the package imports torch."""
