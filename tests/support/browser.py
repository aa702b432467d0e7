"""A real browser, driven as a person does: by what can be read and pressed.

Everything waits for its condition with a deadline; nothing sleeps and hopes.
"""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

DRIVER = "/usr/bin/chromedriver"
PATIENCE = 40.0
#: A browser on a busy machine now and then does not start in time.
STARTS = 3
_LOOK = 0.03
_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--force-device-scale-factor=1", "--lang=en-US", "--renderer-process-limit=1",
    "--disable-features=BackForwardCache,SpareRendererForSitePerProcess",
)  # fmt: skip
#: What can be pressed, chosen or typed into, with its name: text, label, or aria-label.
_FIND = """
const [kind, wanted, exact] = arguments;
const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest("[inert]");
const top = document.querySelector("dialog[open]") ?? document;
const names = (e) => [
  e.getAttribute("aria-label"), e.innerText, ...[...(e.labels ?? [])].map((label) => label.innerText), e.name,
].filter(Boolean).map((name) => name.trim());
return [...top.querySelectorAll(kind)].filter(shown).find((e) =>
  names(e).some((name) => exact ? name === wanted : name.includes(wanted))) ?? null;
"""


def _started(options: webdriver.ChromeOptions, environment: dict[str, str]) -> webdriver.Chrome:
    for left in reversed(range(STARTS)):
        try:
            return webdriver.Chrome(options, Service(DRIVER, env=environment))
        except WebDriverException:
            if not left:
                raise
    raise AssertionError("STARTS is at least one")


def missing() -> str:
    """Name what a browser test lacks on this machine; empty: nothing."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(absent)} (Debian: chromium, chromium-driver)" if absent else ""


class Browser:
    """One window. A context manager."""

    def __init__(self, folder: Path, language: str = "en-US") -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for argument in (*_ARGUMENTS, f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(argument)
        self.downloads = folder / "downloads"
        options.add_experimental_option(
            "prefs", {"intl.accept_languages": language, "download.default_directory": str(self.downloads)}
        )
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        environment = {**os.environ, "TZ": "America/Sao_Paulo"}
        self.driver = _started(options, environment)
        self.size(1280, 900)
        self._base = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    # --- going --------------------------------------------------------------------------------------------------

    def fresh(self, base: str, **remembered: str) -> None:
        """Start at the inbox as somebody who was never here before, save for what the browser `remembered`."""
        self._base = base
        self.driver.get(f"{base}/console/icon.svg")
        self.run("localStorage.clear(); sessionStorage.clear()")
        for key, value in remembered.items():
            self.run("localStorage.setItem(...arguments)", f"maestro.{key}", value)
        self.problems()

    def open(self, path: str = "#/") -> None:
        """Load a page of the console anew."""
        self.driver.get("about:blank")
        self.driver.get(f"{self._base}/{path}")

    def size(self, width: int, height: int) -> None:
        """Make the page so large, in CSS pixels; a phone is 390 wide."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefers(self, scheme: str) -> None:
        """Let the system prefer "dark" or "light"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    # --- reading ------------------------------------------------------------------------------------------------

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str = "body") -> str:
        """Return what can be read of the first such element; empty when there is none."""
        return str(
            self.run(
                "const e = document.querySelector(arguments[0]); return e?.innerText ?? e?.textContent ?? ''", selector
            )
        )

    def row(self, text: str) -> str:
        """Return what can be read in the first table row with this text in it; empty when there is none."""
        find = "return [...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes(arguments[0]))"
        return str(self.run(f"{find}?.innerText ?? ''", text))

    def press_in_row(self, text: str, name: str) -> None:
        """Press a button of the first table row with this text in it."""
        find = "[...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes(arguments[0]))"
        buttons = f"[...{find}.querySelectorAll('button')]"
        self.run(f"{buttons}.find((button) => button.innerText === arguments[1]).click()", text, name)

    def sees(self, *texts: str, within: str = "body") -> None:
        """Wait until all texts can be read."""
        self.until(lambda: all(text in self.text(within) for text in texts), f"{texts} to be read in {within}")

    def sees_not(self, text: str, within: str = "body") -> None:
        """Wait until a text can be read no more."""
        self.until(lambda: text not in self.text(within), f"{text!r} to be gone from {within}")

    def until(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Wait for a condition and return what it returned; fail with what the page shows."""
        deadline = time.monotonic() + patience
        while True:
            try:
                if outcome := condition():
                    return outcome
            except (StaleElementReferenceException, WebDriverException) as problem:
                outcome = problem
            if time.monotonic() > deadline:
                shown = self.text("main")[:1500]
                raise AssertionError(f"waited for {what} (last: {outcome!r}); the page shows:\n{shown}")
            time.sleep(_LOOK)

    def problems(self) -> list[str]:
        """Return what the browser complained of since the last look, save for answers that are no 2xx."""
        entries: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        severe = (entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING"))
        return [message for message in severe if "Failed to load resource" not in message]

    # --- doing --------------------------------------------------------------------------------------------------

    def find(self, kind: str, name: str, *, exact: bool = False) -> WebElement:
        """Wait for something of that kind (a selector) and name; in an open dialog only what is in it counts."""
        found: WebElement = self.until(lambda: self.run(_FIND, kind, name, exact), f"{kind} named {name!r}")
        return found

    def press(self, name: str, *, exact: bool = False) -> None:
        """Click a button, link or the like, once it can be clicked."""

        def pressed() -> bool:
            element = self.find("button, a, summary, input[type=checkbox]", name, exact=exact)
            if not element.is_enabled():
                return False
            element.click()
            return True

        self.until(pressed, f"{name!r} to be pressed")

    def type(self, name: str, text: str) -> None:
        """Type into the field of that label, in the place of what is there."""
        field = self.find("input, textarea", name)
        field.clear()
        field.send_keys(text)

    def cannot(self, name: str) -> None:
        """Wait until a button is there and cannot be pressed."""
        self.until(lambda: not self.find("button", name).is_enabled(), f"{name!r} to be disabled")

    def choose(self, name: str, option: str) -> None:
        """Choose an option by its text, once it is there."""

        def chosen() -> bool:
            field = self.find("select", name)
            return bool(
                self.run(
                    """const [field, text] = arguments;
                    const option = [...field.options].find((one) => one.text === text);
                    if (option === undefined) return false;
                    field.value = option.value;
                    for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
                    return true;""",
                    field, option,
                )
            )  # fmt: skip

        self.until(chosen, f"{option!r} of {name!r} to be chosen")

    def key(self, *keys: str) -> None:
        """Press keys wherever the focus is, also when the page is rendered again meanwhile."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def tab_to(self, name: str, limit: int = 60) -> None:
        """Press Tab until the focus is on what has this name."""
        for _ in range(limit):
            self.key(Keys.TAB)
            focused = self.run("const e = document.activeElement; return e.ariaLabel || e.innerText || e.name || ''")
            if name in focused:
                return
        raise AssertionError(f"Tab never reached {name!r}")

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Save what is shown, or the whole page, as PNG."""
        if whole:
            width, height = self.run("return [innerWidth, Math.max(document.documentElement.scrollHeight, 400)]")
            before = self.run("return innerHeight")
            self.size(width, height)
            self.driver.save_screenshot(str(path))
            self.size(width, before)
        else:
            self.driver.save_screenshot(str(path))
