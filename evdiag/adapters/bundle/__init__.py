"""Bundles on this machine: written, read, packed and unpacked."""
