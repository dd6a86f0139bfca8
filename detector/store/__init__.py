"""Where states, fences and the outbox are kept."""
