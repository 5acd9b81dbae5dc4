"""
The file format of a rules directory, as types.

What belongs here: which keys there are, what form each value has, what its default is; the descriptions are the help
that editors show. Nothing here knows other files, what names refer to, what expressions mean, or what becomes of it
all: ``core.rules`` reads documents into these types, ``core.compiling`` makes rules of them.
"""

from worker.core.spec.file import json_schema

__all__ = ["json_schema"]
