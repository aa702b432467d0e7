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
#: Cells of numbers, and words, that take more than one line.
BROKEN = """
const lines = (node) => {
  const all = new Range();
  all.selectNodeContents(node);
  return new Set([...all.getClientRects()].map((box) => Math.round(box.top))).size;
};
const words = (cell) => {
  const found = [];
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (node.parentElement.closest(".mono, .bad")) continue;
    for (const { index, 0: word } of node.data.matchAll(/[\\p{L}\\p{N}]+/gu)) {
      const range = new Range();
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) found.push(word);
    }
  }
  return found;
};
const cells = [...document.querySelectorAll("td")];
return [
  ...cells.filter((cell) => cell.matches(".number") && lines(cell) > 1).map((cell) => cell.textContent),
  ...cells.flatMap(words),
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
