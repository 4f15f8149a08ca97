"""What the gateway and the models inside Triton must agree on, and nothing else."""
