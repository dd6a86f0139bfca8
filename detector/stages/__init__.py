"""The pure steps of the pipeline, in the order a line takes them: decode, parse, score, judge."""
