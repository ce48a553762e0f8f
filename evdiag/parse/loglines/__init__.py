"""The logs of a charger line by line, as people read them: every line, in the order of time.

`evdiag.parse.logs` looks for events in logs and skips what is boring; this package keeps all.
"""
