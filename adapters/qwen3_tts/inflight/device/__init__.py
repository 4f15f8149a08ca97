"""CUDA graphs, CUDA streams and asynchronous copies. On a CPU they do nothing or run the work directly."""
