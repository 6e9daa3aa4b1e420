"""ExpertRAG in other frameworks."""
