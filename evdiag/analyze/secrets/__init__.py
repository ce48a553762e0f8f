"""Secrets in everything that leaves a machine: bundles and reports. See docs/explanation."""

from evdiag.analyze.secrets.redactor import Secrets

__all__ = ["Secrets", "why_not_copied"]


def why_not_copied(path: str) -> str | None:
    """Why a file must not be copied, by its path; None if it may be."""
    from evdiag.analyze.secrets.files import reason  # noqa: PLC0415 - no report needs it

    return reason(path)
