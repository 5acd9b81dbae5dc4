"""
The command line: one module per command or small topic, each a thin shell over the parts that do the work.

What belongs here: reading arguments, choosing words and columns for people, exit codes. This package may not decide
anything that the worker decides too. Nothing heavy is imported at the top of a module here: ``statusbridge --help``
has to answer at once.
"""
