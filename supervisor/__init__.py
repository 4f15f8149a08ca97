"""What `scripts/serve` runs: environments, weights, Triton's home, the processes and their end."""
