"""Kafka topics as input, the one package that knows Faust: `run` is its entry, `feed` what it hands over."""
