"""Domains: texts of them from data sets, and the router that tells them apart."""
