"""Offline training of a bundle: templates, model, calibration, report."""
