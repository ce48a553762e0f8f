"""The last words of `evdiag run`: where everything is, and what comes next."""

import textwrap

from evdiag.model.charger import CORES, NAME
from evdiag.model.run import Outcome
from evdiag.report.neutral import clean

WIDTH = 66
"""Columns of text beside the titles: a terminal has 80."""


def last_words(outcome: Outcome) -> str:
    """What somebody needs who has just started a charger."""
    spec = outcome.spec
    place = f"{CORES} in the container"
    suffix = "" if spec.name == NAME else f" --name {spec.name}"
    rows = [
        ("dashboard", spec.page),
        ("OCPP", f"{spec.ocpp_version} as {spec.ocpp_id}, {outcome.ocpp}"),
        ("", f"CSMS: {outcome.csms}"),
        ("cores", place if spec.cores is None else f"{spec.cores} ({place})"),
        ("", outcome.capture),
        ("next", f"evdiag status{suffix}"),
        ("", f"evdiag logs{suffix} -f"),
        ("", f"evdiag stop{suffix}"),
    ]
    if outcome.mqtt_port is not None:
        rows.insert(1, ("MQTT", f"{spec.bind}:{outcome.mqtt_port}, for the user of MQTT_USER"))
    lines = [f"{spec.name} is ready after {outcome.seconds:.1f} s", ""]
    for title, text in rows:
        first, *more = textwrap.wrap(clean(text), WIDTH, break_on_hyphens=False)
        lines += [f"  {title:<9}  {first}", *(" " * 13 + line for line in more)]
    return "\n".join(lines) + "\n"
