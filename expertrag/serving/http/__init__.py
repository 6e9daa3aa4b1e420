"""The HTTP door: OpenAI's API and the console, in the server's process.

Every request becomes operations of the server's core, as every gRPC call does. Admission,
deadlines, tokens, tenants, quotas, metrics and the audit log are the same.
"""

from expertrag.serving.http.server import HttpServer

__all__ = ["HttpServer"]
