"""What the ledger knows, in words for people and as data for programs: shared by the command line and HTTP."""
