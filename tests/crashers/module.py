"""The Python module of the process tree: it runs until it is told to end."""

import os
import signal


def main() -> None:
    """Tell the manager that this module runs, then wait; SIGTERM ends it."""
    ready = int(os.environ["READY_FD"])
    os.write(ready, f"{os.environ['EV_MODULE']}\n".encode())
    os.close(ready)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
