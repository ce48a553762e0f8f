"""Why a build failed and what helps, from the builder's last words and those of the step."""

import re
from collections.abc import Mapping, Sequence

from evdiag.errors import BuildFailed
from evdiag.parse.build_output import Failed, Step

from .build_progress import failed_text

_MOST = 8_000
"""Characters that are looked at, from the end."""

_NO_BASE = (
    "`docker pull {image}` shows whether the engine can get it. Without network: `docker load` an "
    "archive of it, or name another one with --build-arg BASE=IMAGE."
)

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), advice)
    for pattern, advice in (
        (
            r"no space left on device|disk quota exceeded",
            "The engine's disk is full; a build takes about 10 GB. `docker system df` shows what "
            "takes the room; `docker builder prune` and `docker image prune` free some.",
        ),
        (
            r"is not supported for the docker driver|multiple platforms feature is currently not",
            "Make a builder that can: `docker buildx create --use --name platforms`.",
        ),
        (
            r"exec format error",
            "The engine cannot run programs of that platform: install QEMU's emulation "
            "(`docker run --privileged --rm tonistiigi/binfmt --install all`).",
        ),
        (
            r"internal compiler error: killed|fatal error: killed signal|signal 9|\bkilled\b"
            r"|cannot allocate memory|out of memory|exit code:? 137",
            "The memory was not enough: try --jobs 1, or give the engine more. The parts that "
            "are built stay in the cache.",
        ),
        (
            r"certificate verify failed|self.signed.cert|unable to get local issuer|x509:",
            "Something between here and the internet signs with its own certificate: use a base "
            "image that knows it (--build-arg BASE=IMAGE).",
        ),
        (
            r"couldn't find remote ref|not our ref|reference is not a tree|unadvertised object",
            "EVerest's repository has no such branch, tag or commit: check --everest-ref.",
        ),
        (
            r"could not resolve|temporary failure (?:in name resolution|resolving)|no such host"
            r"|network is unreachable|connection timed out|could not connect|unable to access",
            "The build needs the network, or source trees in its place: --sources DIR.",
        ),
    )
)  # fmt: skip
_PULL = re.compile(
    r"pull access denied|manifest|no such host|not found|dial tcp|i/o timeout|tls|x509"
    r"|failed to resolve|unauthorized|too many requests|rate limit|deadline exceeded",
    re.IGNORECASE,
)


def argument_defaults(dockerfile: str) -> dict[str, str]:
    """The build arguments of a Dockerfile that have a default."""
    found = re.findall(r"^ARG\s+(\w+)=(\S*)\s*$", dockerfile, re.MULTILINE)
    return {name: value.strip("\"'") for name, value in reversed(found)}  # the first one holds


def explained(
    failed: Failed,
    step: Step | None,
    tail: Sequence[str],
    *,
    log: str,
    arguments: Mapping[str, str],
) -> BuildFailed:
    """The error for the user: the step and its exit code, what helps, and where the log is.

    `arguments` are those of the build; the classic builder names a base image by its variable.
    """
    where = f"The full log is {log}"
    if image := _base_image(failed, step):
        image = re.sub(r"\$\{?(\w+)\}?", lambda match: arguments.get(match[1], match[0]), image)
        said = " ".join(failed.message.split())[:300]
        return BuildFailed(
            f"the base image {image} is not there and could not be fetched: {said}",
            advice=f"{_NO_BASE.format(image=image)} {where}",
        )
    words = "\n".join((*tail, failed.message))[-_MOST:]
    for pattern, advice in _RULES:
        if pattern.search(words):
            return BuildFailed(failed_text(failed, step), advice=f"{advice} {where}")
    return BuildFailed(failed_text(failed, step), advice=where)


def _base_image(failed: Failed, step: Step | None) -> str:
    """The image that FROM names, if getting it is what failed."""
    if not _PULL.search(failed.message):
        return ""
    if step is None:  # buildx looks for base images before the first step
        if named := re.match(r"(\S+): (?:failed to|not found)", failed.message):
            return named[1]
        asked = re.search(
            r'"https?://[^/"]+/v2/(?:library/)?([^"]+)/manifests/([^"]+)"', failed.message
        )
        return f"{asked[1]}:{asked[2]}" if asked else ""
    words = [word for word in step.text.split()[1:] if not word.startswith("--")]
    return words[0] if step.text.upper().startswith("FROM ") and words else ""
