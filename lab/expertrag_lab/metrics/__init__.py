"""Measures of answers, rankings and confidence scores, with significance tests."""
