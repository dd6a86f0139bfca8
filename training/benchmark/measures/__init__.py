"""How good a detector was, from its scores and alerts."""
