"""The gRPC door: one servicer per file, one interceptor."""

from expertrag.serving.grpc.server import Server

__all__ = ["Server"]
