"""HTTP beside gRPC, in the server's process: OpenAI's API, MCP and the console.

Every request becomes calls of our own client, over a private socket of the same server: admission,
deadlines, tokens, tenants, quotas, metrics and the audit log are those of gRPC.
"""

from expertrag.serving.http.server import HttpServer

__all__ = ["HttpServer"]
