"""What `scripts/serve` runs: environments, weights, Triton's home, the processes and their end."""

import os

# Set before gRPC is imported: here an exec follows every fork, and gRPC's handlers would do nothing but log.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
