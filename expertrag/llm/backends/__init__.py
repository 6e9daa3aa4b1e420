"""Language models by back end: in this process, or behind an OpenAI-compatible server."""
