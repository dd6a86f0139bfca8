"""What a daemon counts of its work: `committed` is what it is told, `metrics` what it makes of it. No I/O."""
