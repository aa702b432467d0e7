// Makes elements. Text always becomes a text node: there is no way to pass markup, so nothing needs to be escaped.

const SVG = "http://www.w3.org/2000/svg";

/** Make an HTML element. Attributes: `onclick` and the like take functions; true and false switch; null leaves out. */
export function h(tag, attributes, ...children) {
  return built(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function s(tag, attributes, ...children) {
  return built(document.createElementNS(SVG, tag), attributes, children);
}

/** Put children in the place of an element's own. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/** Return an element whose content is `render(data)`, made anew only when `data` differs from what is shown. */
export function region(render, attributes) {
  const element = h("div", attributes);
  let shown;
  return {
    element,
    update(data) {
      const wanted = JSON.stringify(data);
      if (wanted === shown) return;
      shown = wanted;
      keepingFocus(element, () => fill(element, render(data)));
    },
  };
}

function built(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false && child !== "")
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

/** Run `change`, and give the focus back to what has the `data-key` of the element that had it. */
function keepingFocus(element, change) {
  const focused = document.activeElement;
  const key = element.contains(focused) ? focused.dataset.key : undefined;
  change();
  if (key) [...element.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key)?.focus();
}
