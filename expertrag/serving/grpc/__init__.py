"""The gRPC door: one servicer per file, one interceptor."""
