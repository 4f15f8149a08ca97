"""How many GPUs does a load need? A simulation of pools, its questions, and its check against the real engine."""
