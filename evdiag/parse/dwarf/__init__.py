"""DWARF call frame information: where a function keeps what it must give back to its caller."""
