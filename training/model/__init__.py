"""The networks and how they are fitted; only here and in export is torch imported."""
