#!/usr/bin/env python3
"""Makes EVerest's configuration from the container's environment.

    configure.py --check
    configure.py --templates DIR --prefix DIR --run DIR --state DIR --logs DIR

The first form only says what is wrong with the environment. The second writes config.yaml and the
OCPP module's part of it into the run directory, and prepares the directories named in them.
Text from the environment gets into files through json and yaml alone, never by pasting.
"""

import argparse
import contextlib
import copy
import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from environment import Refused, Settings, settings_of

TRADES = 90
"""Slices for the whole power: the energy manager sells at most 100 (EnergyManagerImpl.cpp)."""

SERIAL_MAX = 25
"""Longest serial number in a BootNotification, in all versions of OCPP."""

Document = dict[str, Any]
"""What a YAML or JSON file holds."""

Modules = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The directories of the command line."""

    templates: Path
    prefix: Path
    run: Path
    state: Path
    logs: Path


# -- EVerest's configuration


def charger(template: Document, settings: Settings, places: Places) -> Document:
    """The configuration of this charger."""
    modules: Modules = copy.deepcopy(template["active_modules"])
    set_paths(modules, settings, places)
    set_limits(modules, settings)
    if settings.version == "2.1":  # the template says why
        trunk = {"module_id": "grid_connection_point", "implementation_id": "energy_grid"}
        modules["energy_manager"]["connections"]["energy_trunk"] = [trunk]
    return {**template, "active_modules": multiplied(modules, settings.connectors)}


def options_of(module: Document) -> Iterator[Document]:
    """The options of a module and of its implementations."""
    yield module.get("config_module", {})
    yield from module.get("config_implementation", {}).values()


def evse_of(module: Document) -> int | None:
    """The connector that a module belongs to: 1 in a template, or none."""
    number: int | None = module.get("mapping", {}).get("module", {}).get("evse")
    return number


def set_paths(modules: Modules, settings: Settings, places: Places) -> None:
    """Put every path of the template where this container has it."""
    moved = {
        "/run/everest": places.run,
        "/var/lib/everest/charger": places.state / settings.name,
        "/var/lib/everest": places.state,
        "/tmp/everest-logs": places.logs,  # noqa: S108 - the container's own
    }
    for module in modules.values():
        for options in options_of(module):
            for key, value in options.items():
                known = [old for old in moved if re.match(f"{old}(/|\\Z)", str(value))]
                if known:
                    options[key] = f"{moved[known[0]]}{value.removeprefix(known[0])}"


def set_limits(modules: Modules, settings: Settings) -> None:
    """Let the power be what the power supply gives, and nothing before it any less."""
    supply = modules["powersupply_dc"]["config_implementation"]["main"]
    for key in ("max_power", "nominal_max_export_power", "nominal_max_import_power"):
        supply[key] = settings.power
    for key in ("max_current", "nominal_max_current"):
        supply[key] = settings.current
    modules["yeti_driver"]["config_module"]["max_current_A_import"] = settings.grid_current
    for module in modules.values():
        if module["module"] == "EnergyNode":
            connectors = 1 if evse_of(module) == 1 else settings.connectors
            module["config_module"]["fuse_limit_A"] = settings.grid_current * connectors
    slices = math.ceil(settings.grid_current * 10 / TRADES) / 10
    modules["energy_manager"]["config_module"]["slice_ampere"] = max(0.5, slices)


def multiplied(modules: Modules, connectors: int) -> Modules:
    """All modules, with those of connector 1 as many times as there are connectors."""
    own = {name for name, module in modules.items() if evse_of(module) == 1}
    every = range(1, connectors + 1)

    def name_of(name: str, number: int) -> str:
        return f"{name}_{number}" if name in own and number > 1 else name

    def connected(module: Document, numbers: range) -> Document:
        """A copy of a module, connected to what these connectors have."""
        result = copy.deepcopy(module)
        for requirement, targets in module.get("connections", {}).items():
            result["connections"][requirement] = [
                {**target, "module_id": name}
                for target in targets
                for name in dict.fromkeys(name_of(target["module_id"], n) for n in numbers)
            ]
        return result

    shared = {name: connected(modules[name], every) for name in modules if name not in own}
    copies = {
        name_of(name, number): numbered(connected(modules[name], range(number, number + 1)), number)
        for number in every
        for name in modules
        if name in own
    }
    return {**shared, **copies}


def numbered(module: Document, number: int) -> Document:
    """The same module with the number of its connector."""
    module["mapping"]["module"]["evse"] = number
    for options in options_of(module):
        if "connector_id" in options:
            options["connector_id"] = number
        # A card that is shown a second time ends the session it has begun: each has its own.
        for key in ("evse_id", "token"):
            if key in options:
                options[key] = f"{options[key].removesuffix('1')}{number}"
    return module


# -- the OCPP module's configuration


def ocpp16(template: Document, settings: Settings) -> Document:
    """The configuration of OCPP 1.6, in the form of libocpp's v16/profile_schemas."""
    phases = ",".join(f"{number}.NotApplicable" for number in range(settings.connectors + 1))
    own: Document = {
        "Internal": {
            "ChargePointId": settings.identity,
            "CentralSystemURI": settings.url,
            "ChargeBoxSerialNumber": settings.identity[:SERIAL_MAX],
            "CompositeScheduleDefaultLimitAmps": settings.grid_current,
            "CompositeScheduleDefaultLimitWatts": settings.power,
            "UseSslDefaultVerifyPaths": settings.authority is None,
        },
        "Core": {
            "NumberOfConnectors": settings.connectors,
            "ConnectorPhaseRotation": phases,
        },
        "Security": {"SecurityProfile": settings.profile},
    }
    if settings.password is not None:
        own["Security"]["AuthorizationKey"] = settings.password
    return merged(template, own)


def ocpp2(template: Document, settings: Settings) -> Document:
    """What differs from EVerest's device model, as {component: {variable: value}}."""
    own: Document = {
        "InternalCtrlr": {
            "SupportedOcppVersions": f"ocpp{settings.version}",
            "ChargeBoxSerialNumber": settings.identity[:SERIAL_MAX],
            # Security profile 0 needs this, and a 0 in both places below.
            "AllowSecurityLevelZeroConnections": settings.profile == 0,
            "UseSslDefaultVerifyPaths": settings.authority is None,
        },
        "SecurityCtrlr": {
            "SecurityCtrlrIdentity": settings.identity,
            "SecurityProfile": settings.profile,
        },
        "NetworkConfiguration_1": {
            "OcppCsmsUrl": settings.url,
            "SecurityProfile": settings.profile,
        },
        "SmartChargingCtrlr": {
            "CompositeScheduleDefaultLimitAmps": settings.grid_current,
            "CompositeScheduleDefaultLimitWatts": settings.power,
        },
    }
    if settings.password is not None:
        own["SecurityCtrlr"]["BasicAuthPassword"] = settings.password
    return merged(template, own)


def merged(template: Document, own: Document) -> Document:
    """A template's sections with these values in them, without its comments."""
    sections = dict.fromkeys((*template, *own))
    return {
        section: {
            key: value
            for key, value in {**template.get(section, {}), **own.get(section, {})}.items()
            if not key.startswith("_")
        }
        for section in sections
        if not section.startswith("_")
    }


def with_values(component: Document, values: Document, name: str) -> Document:
    """A component of EVerest's device model with these values."""
    result = copy.deepcopy(component)
    for key, value in values.items():
        if key not in result["properties"]:
            raise Refused(f"EVerest's device model has no variable {key} in {name}")
        for attribute in result["properties"][key]["attributes"]:
            if attribute.get("type") == "Actual":
                attribute["value"] = value
    return result


# -- files


def configure(settings: Settings, places: Places) -> None:
    """Write everything that EVerest reads, and make the directories that it writes to."""
    second = settings.version != "1.6"
    kind = "201" if second else "16"
    config = charger(read(places.templates / f"config-ocpp{kind}.yaml"), settings, places)
    ocpp = read(places.templates / f"ocpp-config-{kind}.json")
    state = places.state / settings.name
    for folder in (places.run, state, places.logs / "ocpp", places.logs / "sessions"):
        folder.mkdir(parents=True, exist_ok=True)
    state.chmod(0o700)  # the databases hold the password too
    keep_certificates(places.prefix / "etc/everest/certs", state / "certs", settings.authority)
    with replaced(places.run / "component_config") as folder:
        if second:
            model = places.prefix / "share/everest/modules/OCPP201/component_config/standardized"
            write_model(model, folder / "standardized", ocpp2(ocpp, settings))
    if second:
        (places.run / "ocpp.json").unlink(missing_ok=True)
    else:
        write(places.run / "ocpp.json", json.dumps(ocpp16(ocpp, settings), indent=4))
    text = "# Made by configure.py at each start of the container: a change here does not last.\n"
    write(places.run / "config.yaml", text + yaml.safe_dump(config, sort_keys=False, width=100))


def read(path: Path) -> Document:
    """What a YAML or JSON file holds."""
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise Refused(f"{path} is damaged: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise Refused(f"{path} is damaged: it holds no object")
    return content


def write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all. Only EVerest may read it: there are passwords."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new directory to fill, which then takes the place of this one, unless it is empty."""
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))  # mode 0700
    try:
        yield fresh
        if folder.exists():
            shutil.rmtree(folder)
        if any(fresh.iterdir()):
            fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_model(model: Path, folder: Path, changes: Document) -> None:
    """Copy EVerest's device model with these changes."""
    files = {path.stem: path for path in sorted(model.glob("*.json"))}
    for name in changes:
        if name not in files:
            raise Refused(f"EVerest's device model has no {name}: {model} is of another EVerest")
    folder.mkdir()
    for name, path in files.items():
        component = with_values(read(path), changes.get(name, {}), name)
        write(folder / path.name, json.dumps(component, indent=4))


def keep_certificates(source: Path, folder: Path, authority: bytes | None) -> None:
    """Once, copy EVerest's certificates to where it may write, with the CSMS's own authority.

    EVerest's own authority for a CSMS is for tests, and its key is known to everybody. Who signs
    for the CSMS is in the given file or, without one, among the authorities of the system.
    """
    if folder.exists():
        return  # with what the CSMS has installed since
    with replaced(folder) as fresh:
        if source.is_dir():
            others = shutil.ignore_patterns("csms")
            shutil.copytree(
                source, fresh, ignore=others, copy_function=shutil.copyfile, dirs_exist_ok=True
            )
        for part in ("ca/csms", "ca/mf", "ca/mo", "ca/v2g", "client/csms", "client/cso"):
            (fresh / part).mkdir(parents=True, exist_ok=True)
        (fresh / "ca/csms/CSMS_ROOT_CA.pem").write_bytes(authority or b"")


# -- the command


def summary(settings: Settings) -> str:
    """What this charger is, in one line without secrets."""
    url = settings.url if settings.url.count("/") > 2 else f"{settings.url}/"
    plural = "" if settings.connectors == 1 else "s"
    return (
        f"OCPP {settings.version} as {settings.identity} to {url}, "
        f"{settings.connectors} connector{plural}, {settings.power / 1000:g} kW"
    )


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run the command; the exit status is 2 for a bad environment and 1 for anything else."""
    parser = argparse.ArgumentParser(prog="configure.py", description="EVerest's configuration")
    parser.add_argument("--check", action="store_true", help="only check the environment")
    for name in ("templates", "prefix", "run", "state", "logs"):
        parser.add_argument(f"--{name}", type=Path, metavar="DIR")
    options = vars(parser.parse_args(arguments))
    only_check = options.pop("check")
    if not only_check and None in options.values():
        parser.error("--check, or all of --templates --prefix --run --state --logs are needed")
    try:
        settings = settings_of(environment)
    except Refused as refused:
        for line in refused.args:
            print(f"configure: {line}", file=sys.stderr)
        return 2
    if only_check:
        return 0
    try:
        configure(settings, Places(**options))
    except Refused as refused:
        print(f"configure: {refused}", file=sys.stderr)
        return 1
    except (KeyError, TypeError, AttributeError) as error:
        print(
            f"configure: a file of {options['templates']} or EVerest's device model has not "
            f"the form that it should have: {error!r}",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(f"configure: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        return 1
    print(summary(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
