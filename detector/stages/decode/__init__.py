"""Records to lines: envelope, header, time, source, continuation."""
