"""Payloads of each wire format, whole and broken: a module a format (its name, `-` as `_`), with `GOOD`, `BAD` and `TOPIC`.

Here: bytes. Not here: what they must become (the tests of each format).
"""
