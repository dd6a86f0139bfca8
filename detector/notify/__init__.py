"""Delivery of alerts from the outbox to people and systems."""
