"""Random checkpoints in the real on-disk formats, for tests and for measurements that do not depend on the weights."""
