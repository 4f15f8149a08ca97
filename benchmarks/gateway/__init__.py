"""The gateway's own time, beside plain gRPC and the models without a server."""
