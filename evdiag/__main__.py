"""`python -m evdiag` and the `evdiag` script."""

import sys


def run() -> None:
    """Start evdiag with the process's arguments and exit with its code."""
    from evdiag.cli import main  # noqa: PLC0415 - one import, timed by the benchmarks

    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
