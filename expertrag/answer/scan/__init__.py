"""The scan: read every document of a family once, and let code compare, count and compute."""
