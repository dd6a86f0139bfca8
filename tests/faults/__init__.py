"""Faults under load: what the tests of `tailrace worker` do to it and to the servers around it."""
