"""Metrics against labels, beside simple detectors."""
