"""Bridges alerts and incidents to public status pages. See docs/explanation/architecture.md."""
