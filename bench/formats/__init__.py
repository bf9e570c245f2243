"""What `bench.decode` decodes: a module a format, with `CASE`.

Here: payloads of real size and shape, generated. Not here: measuring.
"""
