"""
The whole pipeline in virtual time, under faults that one seed draws, judged by an oracle that never asks the worker.

Real: rules, sources, steps, core, the ledger, and the provider down to its bytes. Simulated: time, chance, the network,
the page (the sandbox, without its socket), senders and people. ``make sim``.
"""
