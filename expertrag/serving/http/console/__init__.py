"""The console: a page where people ask, and see what the gate decided, and its JSON API."""
