"""One serving core, and its doors: gRPC, HTTP and MCP."""
