"""What a benchmark runs: Tailrace itself, simple detectors, and networks from the literature."""
