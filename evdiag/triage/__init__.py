"""Many cores at once: found, looked at by several processes, remembered, and put into groups."""

from evdiag.triage.flow import Settings, Triaging

__all__ = ["Settings", "Triaging"]
