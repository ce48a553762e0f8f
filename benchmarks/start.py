"""`evdiag run` until it is ready, against `docker run` and the same wait.

    python -m benchmarks.start --image IMAGE

Needed: a container engine on this machine, and the charger's image. Both get a network of their own
and a CSMS on this machine; they take turns, and everything is removed after each round.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from benchmarks.measure import progress
from benchmarks.table import pipe_table
from tests.support.csms import Csms

NAME, NETWORK, SUBNET = "evdiag-bench-start", "evdiag-bench-start", "fd11:22:33:44::/64"
GATEWAY = "host.docker.internal"
WAITED_FOR = (b"EVerest up and running", b"successfully connected to server", b"Started flows")
"""What `evdiag run` waits for; the dashboard's page comes after it."""


def docker(*arguments: str, must: bool = True) -> None:
    """Run the docker client; an error ends the benchmark, unless it need not succeed."""
    subprocess.run(["docker", *arguments], check=must, capture_output=True)


def page_answers(port: int) -> bool:
    """Whether the dashboard is there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ui/", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def by_docker(image: str, port: int, url: str) -> float:
    """Seconds until a charger is ready that was started by hand."""
    begun = time.monotonic()
    docker("network", "create", "--ipv6", "--subnet", SUBNET, NETWORK)
    docker(
        "run", "-d", "--name", NAME, "--network", NETWORK, "--ulimit", "core=-1",
        "--sysctl", "net.ipv6.conf.all.disable_ipv6=0", "--add-host", f"{GATEWAY}:host-gateway",
        "-p", f"127.0.0.1:{port}:1880", "-e", f"OCPP_URL={url.replace('localhost', GATEWAY)}",
        image,
    )  # fmt: skip
    with subprocess.Popen(
        ["docker", "logs", "-f", NAME], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as follower:
        assert follower.stdout is not None
        missing = set(WAITED_FOR)
        for line in follower.stdout:
            missing -= {words for words in missing if words in line}
            if not missing:
                break
        while not page_answers(port):
            time.sleep(0.02)
        seconds = time.monotonic() - begun
        follower.kill()
    return seconds


def by_evdiag(evdiag: str, image: str, port: int, url: str) -> float:
    """Seconds until `evdiag run` says that it is ready."""
    begun = time.monotonic()
    subprocess.run(
        [evdiag, "run", "--name", NAME, "--image", image, "--port", str(port), "--ocpp-url", url],
        check=True, capture_output=True,
    )  # fmt: skip
    return time.monotonic() - begun


def remove() -> None:
    """Remove what a round has left."""
    docker("rm", "-f", "-v", NAME, must=False)
    docker("network", "rm", NETWORK, f"evdiag-{NAME}", must=False)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default="evdiag/everest:latest")
    parser.add_argument("--evdiag", default=str(Path(sys.executable).with_name("evdiag")))
    parser.add_argument("--port", type=int, default=18880)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    ours: list[float] = []
    theirs: list[float] = []
    with Csms(versions=["1.6"], host="0.0.0.0") as csms:
        url = csms.url("localhost")
        for number in range(options.rounds):
            progress(f"round {number + 1} of {options.rounds}")
            try:
                theirs.append(by_docker(options.image, options.port, url))
                remove()
                ours.append(by_evdiag(options.evdiag, options.image, options.port, url))
            finally:
                remove()
    base = statistics.median(theirs)
    rows = [
        [name, f"{statistics.median(all_of):.2f}", f"{statistics.median(all_of) / base:.2f}",
         f"{min(all_of):.2f}", f"{max(all_of):.2f}"]
        for name, all_of in (("docker run, and the same wait", theirs), ("evdiag run", ours))
    ]  # fmt: skip
    sys.stdout.write(f"{pipe_table(['to ready', 'median s', 'ratio', 'min', 'max'], rows)}\n")


if __name__ == "__main__":
    main()
