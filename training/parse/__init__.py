"""Learn headers and mine templates."""
