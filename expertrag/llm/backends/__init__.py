"""Back ends for language models: in this process, or on an OpenAI-compatible server."""
