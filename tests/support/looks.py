"""How a page of the console looks: nothing sticks out, and axe-core has nothing to complain of."""

from pathlib import Path

from tests.support.browser import Browser

#: What sticks out: of the window, or text that is cut off in what scrolls sideways.
WIDE = """
const out = [...document.querySelectorAll("main *, header *")].filter((e) => e.checkVisibility() && !e.closest("svg")
  && !e.closest(".unseen, thead, .skip-link, pre"));
const name = (e) => `${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`;
return [
  ...out.filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map(name),
  ...out.filter((e) => ["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX)
    && e.scrollWidth > e.clientWidth + 1 && !e.querySelector("svg.graph") && e.tagName !== "SELECT").map(name),
];
"""
AXE = (Path(__file__).parents[1] / "console" / "vendor" / "axe.min.js").read_text("utf-8")
RUN = """
const [rules, done] = arguments;
axe.run({ resultTypes: ["violations"], ...rules }).then((found) => done(found.violations.map((one) =>
  `${one.id}: ${one.help}: ${one.nodes.map((node) => node.target.join(" ") + " " + node.html).join("; ")}`)));
"""


def check(browser: Browser, where: str) -> None:
    """Fail when axe-core finds something, in either colour scheme."""
    if not browser.run("return Boolean(window.axe)"):
        browser.run(AXE)
    for scheme, rules in (("dark", {"runOnly": ["color-contrast"]}), ("light", {})):
        browser.prefers(scheme)
        assert browser.driver.execute_async_script(RUN, rules) == [], f"{where}, {scheme}"
