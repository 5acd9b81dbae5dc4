"""
Rules on virtual time: the real steps over a ledger in memory and a page that answers at once.

What belongs here: everything that plays rules without a worker, for ``test``, ``plan`` and ``explain``. Nothing here
touches a file, a socket or the clock; which sources there are is told by bootstrap.
"""
