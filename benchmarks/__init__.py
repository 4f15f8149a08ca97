"""Load tests and speed measurements; every speed is a ratio against the alternative in the same run."""
