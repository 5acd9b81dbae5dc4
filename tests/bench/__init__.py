"""Measurements: ratios in one run against a ceiling. Nothing here is asserted by a test."""
