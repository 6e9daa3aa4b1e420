"""Keeps a store in step with folders, web pages and object stores; records what came from where."""
