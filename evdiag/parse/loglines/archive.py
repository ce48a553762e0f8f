"""Which files of a charger's log folder are logs of its services."""

import re

LOG_NAME = re.compile(r"(?:^|/)(mosquitto|everest|nodered|supervisord)\.log(?:\.(\d{1,2}))?$")
"""The service, and the number that rotation gave the file."""
