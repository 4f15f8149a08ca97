"""Random checkpoints in the real on-disk formats, for tests and for measuring what does not depend on the weights."""
