"""Stacks of all threads from registers and memory, without a debugger."""

from evdiag.analyze.unwind.unwinder import MAX_FRAMES, RawFrame, RawStack, Unwinder

__all__ = ["MAX_FRAMES", "RawFrame", "RawStack", "Unwinder"]
