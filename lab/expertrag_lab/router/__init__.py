"""Fit, explain and measure routers of embedding experts."""
