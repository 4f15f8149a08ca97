"""The supervisor: prepares environments and weights, runs Triton, its models and the gateway, and stops them."""

import os

# Set before gRPC is imported: here an exec follows every fork, and gRPC's handlers would do nothing but log.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
