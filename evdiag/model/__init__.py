"""Nouns: frozen records without behaviour of their own.

They are `msgspec.Struct` and not dataclasses. Measured with Python 3.11: defining thirty frozen,
slotted dataclasses costs 24 ms at every start, thirty structs 0.5 ms and 7 ms for the import;
making one frame costs 1.75 µs against 0.16 µs, and a report has thousands.
"""
