"""Ratios of evdiag's cost to that of other tools, each beside a check of what was printed."""
