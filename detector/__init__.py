"""Tailrace: says which log source stopped behaving like itself."""
