"""The data sets of a benchmark: what describes them, and their logs and labels as detectors take them."""
