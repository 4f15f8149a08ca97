"""The code that runs inside Triton: a package for each family; `triton`, `speech` and `companions` for all."""
