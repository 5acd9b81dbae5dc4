"""HTTP in: hooks, health, metrics. Knows no vendor and no SQL."""
