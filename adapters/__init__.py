"""Everything that runs inside Triton: one package a model family, and `triton` for what they share."""
