"""Everything that runs inside Triton: a package for each model family, `triton` and `speech` for shared code."""
