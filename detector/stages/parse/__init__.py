"""Messages to tokens of the frozen vocabulary."""
