"""What is worth an alert, and the life of an alert."""
