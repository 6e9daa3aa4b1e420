"""Verify, repair, compact, back up and restore a store."""
