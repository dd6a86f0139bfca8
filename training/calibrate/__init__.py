"""From scores of held-out normal data to tail probabilities."""
