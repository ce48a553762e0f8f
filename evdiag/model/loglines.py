"""One line of a charger's logs, as `evdiag logs` shows it, and the names it is filtered by."""

import msgspec

EVEREST, MOSQUITTO, NODERED = "everest", "mosquitto", "nodered"
SUPERVISORD, CONTAINER = "supervisord", "container"
LOG_SERVICES = (EVEREST, MOSQUITTO, NODERED, SUPERVISORD, CONTAINER)
"""Who writes. What the container prints before supervisord runs is nobody's but its own."""

SEVERITIES = ("VERB", "DEBG", "INFO", "WARN", "ERRO", "CRIT")
"""EVerest's names, the least severe first; those of the other services are mapped to them."""

PROCESS = 15
"""Characters that EVerest's log keeps of a process's name: `evse_manager:Ev`."""

HEADED, RAW, MORE, TORN, ALERT = "headed", "raw", "more", "torn", "alert"


class LogLine(msgspec.Struct, gc=False):
    """A line of a log with the lines that belong to it."""

    time: str
    """`2026-11-23 00:48:58.593030`, by the container's clock; as precise as the log has it."""
    service: str
    severity: str
    text: str
    module: str = ""
    """EVerest's name of the process; may be cut."""
    where: str = ""
    """The C++ function that wrote it; EVerest says that from WARN up."""
    form: str = HEADED
    """headed; raw: text of a library or an interpreter, which has the time of a line beside it;
    more: goes on with what was given out before; torn: the end of a record whose begin is not
    there; alert: said by evdiag."""
    late: bool = False
    """Comes after other lines of the same time."""
    more: list[str] | None = None
    """The lines after the first one."""

    def lines(self) -> list[str]:
        """All of its lines."""
        return [self.text, *self.more] if self.more else [self.text]
