"""The gRPC service: one servicer per file, model work in threads, one interceptor."""

from expertrag.service.run import serve
from expertrag.service.server import Server

__all__ = ["Server", "serve"]
