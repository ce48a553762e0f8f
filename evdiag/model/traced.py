"""What is kept of one core of many: enough to judge it anew without the core."""

import msgspec

from evdiag.model.core import ModuleIdentity
from evdiag.model.crash import CrashFacts


class Traced(msgspec.Struct, frozen=True, kw_only=True):
    """A core as the rules see it: verdict and signature can be made again from this alone."""

    evidence: CrashFacts
    whole: bool = False
    """Whether it has all threads, not only the crashed one."""
    identity: ModuleIdentity | None = None
    executable: str | None = None
    name: str = ""
    """The name that the process gave itself."""
    build_id: str | None = None
    """Of the executable."""
    crashed_at: float | None = None
    """As the program noted that wrote the core."""
    truncated: bool = False
    bytes: int = 0
