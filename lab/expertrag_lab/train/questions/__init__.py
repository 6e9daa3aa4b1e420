"""Training questions generated from documents by a language model, and their filter."""
