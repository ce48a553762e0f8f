"""Crash diagnostics for EVerest and other C++ stacks in containers."""

__version__ = "0.1.0"
