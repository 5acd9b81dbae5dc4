"""``make mutants``: faults that are made on purpose, each of which a test must catch; see ``__main__``."""
