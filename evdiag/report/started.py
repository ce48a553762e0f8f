"""The last words of `evdiag run`: where everything is, and what comes next."""

import sys
import textwrap

from evdiag.model.charger import CORES, NAME
from evdiag.model.run import (
    DASHBOARD_PASSWORD,
    DASHBOARD_USER,
    PASSWORD_FILE,
    Outcome,
    RunSpec,
)
from evdiag.report.neutral import clean

WIDTH = 66
"""Columns of text beside the titles: a terminal has 80."""
COMMANDS = ("docker ", "evdiag ")
"""Texts that are copied into a shell: they stay in one line, however long the name is."""
LOGIN = f"as {DASHBOARD_USER} with the password"


def last_words(outcome: Outcome) -> str:
    """What somebody needs who has just started a charger."""
    spec = outcome.spec
    place = f"{CORES} in the container"
    suffix = "" if spec.name == NAME else f" --name {spec.name}"
    rows = [
        *_doors(spec),
        ("OCPP", f"{spec.ocpp_version} as {spec.ocpp_id}, {outcome.ocpp}"),
        ("", f"CSMS: {outcome.csms}"),
        ("cores", place if spec.cores is None else f"{spec.cores} ({place})"),
        ("", outcome.capture),
        ("next", f"evdiag status{suffix}"),
        ("", f"evdiag logs{suffix} -f"),
        ("", f"evdiag stop{suffix}"),
    ]
    if outcome.mqtt_port is not None:
        rows.insert(3, ("MQTT", f"{spec.bind}:{outcome.mqtt_port}, for the user of MQTT_USER"))
    lines = [f"{spec.name} is ready after {outcome.seconds:.1f} s", ""]
    for title, text in rows:
        width = sys.maxsize if text.startswith(COMMANDS) else WIDTH
        first, *more = textwrap.wrap(clean(text), width, break_on_hyphens=False)
        lines += [f"  {title:<9}  {first}", *(" " * 13 + line for line in more)]
    return "\n".join(lines) + "\n"


def _doors(spec: RunSpec) -> list[tuple[str, str]]:
    """The dashboard, the editor, and how one gets in; never the password itself."""
    dashboard = spec.page if spec.dashboard_auth == "others" else f"{spec.page}, {LOGIN}"
    password = f"docker exec {spec.name} cat {PASSWORD_FILE}"
    if spec.environment.get(DASHBOARD_PASSWORD):
        password = f"the one of {DASHBOARD_PASSWORD}"
    return [
        ("dashboard", dashboard),
        ("editor", f"{spec.editor}, {LOGIN}"),
        ("password", password),
    ]
