"""What ran in the container, in a line: by inspect, the labels of its image, and build.json."""

import re

from evdiag.model.report import Build, Report

SHORT_COMMIT = 12
"""Digits of a commit that tell it from all others of a project, as git shows them."""
_OCI = "org.opencontainers.image."
_OWN = "org.evdiag.everest."
_COMMIT = re.compile(r"[0-9a-f]{40}")


def what_ran(report: Report) -> list[str]:
    """What ran in the container: its image, EVerest's version and flags, the OCPP it spoke."""
    container = report.container
    if container is None:
        return []
    labels, spoken, build = container.labels, container.environment, container.build or Build()
    release, revision = labels.get(f"{_OCI}version"), labels.get(f"{_OCI}revision")
    told = (container.image or "").endswith(f":{release}")
    about = [text for text in ("" if told else release, _short_commit(revision)) if text]
    named = [container.image or "", f"({', '.join(about)})" if about else ""]
    name = " ".join(text for text in named if text)
    commit = build.commit if container.build else labels.get(f"{_OWN}ref")
    commit = _short_commit(commit)
    version = build.describe or commit or build.source
    if version and commit and commit[:7] not in version:
        version = f"{version} ({commit})"
    protocol = spoken.get("OCPP_VERSION")
    station = spoken.get("OCPP_ID")
    texts = [
        f"EVerest {version}" if version else "",
        build.cflags or labels.get(f"{_OWN}cflags") or "",
        build.compiler or "",
        build.architecture or "",
        f"OCPP {protocol}" if protocol else "",
        f"station {station}" if station else "",
    ]
    more = [text for text in texts if text]
    return [name, *more] if name and (more or about) else more


def _short_commit(text: str | None) -> str | None:
    """A commit in few digits; another name as it is."""
    return text[:SHORT_COMMIT] if text and _COMMIT.fullmatch(text) else text
