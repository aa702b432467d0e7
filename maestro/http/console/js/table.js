// Tables that turn into cards on a phone, and the pages of long ones.

import { fill, h } from "./dom.js";
import { t } from "./i18n.js";

/** Show rows. A column is {title, show(row), wide?, number?}; `key(row)` keeps the focus over updates. */
export function table(caption, columns, rows, { rowClass = () => null } = {}) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((column) => h("th", { scope: "col", class: kind(column) }, column.title)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            { class: rowClass(row) },
            columns.map((column) => cell(column, row)),
          ),
        ),
      ),
    ),
  );
}

/** Show rows page by page; the page shown is kept in `place`, so that updates do not turn it back. */
export function paged(rows, show, place, size = 50) {
  const element = h("div", {});
  const pages = Math.max(1, Math.ceil(rows.length / size));
  const turn = (page) => {
    place.page = Math.min(Math.max(0, page), pages - 1);
    const first = place.page * size;
    fill(element, show(rows.slice(first, first + size)), pages > 1 && pager(place.page, pages, rows.length, turn));
  };
  turn(place.page ?? 0);
  return element;
}

/** Show where in a list of pages one is; `turn(page)` goes to another. */
export function pager(page, pages, total, turn) {
  const button = (key, to, off) =>
    h("button", { type: "button", class: "quiet", disabled: off, "data-key": key, onclick: () => turn(to) }, t(key));
  return h(
    "nav",
    { class: "pager", "aria-label": t("pager.label") },
    button("pager.previous", page - 1, page === 0),
    h("span", {}, t("pager.place", { page: page + 1, pages, total })),
    button("pager.next", page + 1, page === pages - 1),
  );
}

function cell(column, row) {
  return h("td", { class: kind(column), "data-title": column.title }, column.show(row));
}

const kind = (column) => (column.number ? "number" : null);
