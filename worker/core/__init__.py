"""The inside: pure functions and values. No I/O, no clock, no chance."""
