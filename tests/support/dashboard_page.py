"""The dashboard in a browser, by what a user sees of it."""

import contextlib
import re

from playwright.sync_api import Locator, Page, TimeoutError, expect

METERS = {"power": "kW", "voltage": "V", "current": "A", "temperature": "°C"}
"""The measured values and their units."""

FACTS = ("soc", "energy", "duration", "protocol")
NOTHING = "–"
"""What stands where nobody knows a value."""

BUTTONS = (
    *("Plug in", "Unplug", "Pause car", "Resume car"),
    *("Pause", "Resume", "No limit"),
)

STATE_IS = """(name) => {
    const state = document.querySelector('[data-testid=state]');
    return state && state.dataset.state === name;
}"""
TEXT_IS = """([name, form]) => {
    const value = document.querySelector(`[data-testid=${name}]`);
    return value && new RegExp(form).test(value.textContent);
}"""
ENABLED_ARE = """(names) => {
    const can = (button) => !button.disabled && button.ariaDisabled !== 'true';
    const enabled = [...document.querySelectorAll('button')].filter(can);
    return enabled.map((button) => button.textContent.trim()).sort().join() === names.join();
}"""


class Dashboard:
    """One page of one browser."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address

    def open(self) -> None:
        """Load the page, and wait until it is drawn."""
        self.page.goto(f"{self.address}/ui/")
        expect(self.state).to_be_visible(timeout=20_000)

    @property
    def state(self) -> Locator:
        """The charging state of the connector that is shown."""
        return self.page.get_by_test_id("state")

    @property
    def slider(self) -> Locator:
        """The limit of the current as a slider."""
        return self.page.get_by_role("slider", name="Maximum current", exact=True)

    @property
    def number(self) -> Locator:
        """The limit of the current as a number."""
        return self.page.get_by_label("Maximum current in ampere", exact=True)

    @property
    def connector(self) -> Locator:
        """The choice of the connector."""
        return self.page.get_by_label("Connector")

    def value(self, name: str) -> Locator:
        """What is shown under a name, such as `power`."""
        return self.page.get_by_test_id(name)

    def button(self, name: str) -> Locator:
        """A button by its exact name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def press(self, name: str, seconds: float = 10.0) -> None:
        """Press a button as soon as it can be pressed."""
        self.button(name).click(timeout=seconds * 1000)

    def choose(self, connector: int) -> None:
        """Show another connector."""
        self.connector.select_option(str(connector))

    def limit(self, amperes: float | str) -> None:
        """Set the limit of the current by its number."""
        self.number.fill(str(amperes))
        self.number.press("Enter")

    def await_state(self, name: str, seconds: float = 5.0) -> None:
        """Wait until the charger is shown in a state, by EVerest's name of it."""
        self._await(STATE_IS, name, seconds)
        expect(self.state).to_have_attribute("data-state", name)

    def await_value(self, name: str, pattern: str, seconds: float = 5.0) -> None:
        """Wait until a value is of a form; a measured one without its unit and scale."""
        rest = rf"\s*{METERS[name]}[\s\S]*" if name in METERS else r"\s*"
        form = rf"^\s*{pattern}{rest}$"
        self._await(TEXT_IS, [name, form], seconds)
        expect(self.value(name)).to_have_text(re.compile(form))

    def await_enabled(self, names: set[str]) -> None:
        """Wait until these buttons can be pressed and no others."""
        self._await(ENABLED_ARE, sorted(names), 5)
        for name in BUTTONS:
            expect(self.button(name)).to_be_enabled(enabled=name in names)

    def _await(self, function: str, argument: object, seconds: float) -> None:
        """Wait, looking at every picture that the browser draws: `expect` looks once a second.

        What is wrong after that time is told better by `expect`.
        """
        with contextlib.suppress(TimeoutError):
            self.page.wait_for_function(function, arg=argument, timeout=seconds * 1000)
