"""Surprise of events, and the measures of closed sessions."""
