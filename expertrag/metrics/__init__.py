"""Measures of answers, rankings and confidences, with their significance."""
