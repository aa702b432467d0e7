// Which page a URL's hash names: "#/history?system=a" is the page "/history" with a query.

/** Return the route that fits, with its parameters: patterns are like "/reprocessing/:id". */
export function match(routes, hash) {
  const [path, query = ""] = (hash.replace(/^#/, "") || "/").split("?", 2);
  const parts = path.split("/").filter(Boolean);
  for (const [pattern, page] of routes) {
    const params = fits(pattern.split("/").filter(Boolean), parts);
    if (params) return { page, pattern, params, query: new URLSearchParams(query) };
  }
  return null;
}

/** Return the URL of a page. */
export function href(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value);
  return `#${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

/** Change the query of the page that is shown, without loading it or adding to the browser's history. */
export function setQuery(path, query) {
  history.replaceState(null, "", href(path, query));
}

function fits(pattern, parts) {
  if (pattern.length !== parts.length) return null;
  const params = {};
  for (const [place, expected] of pattern.entries()) {
    if (expected.startsWith(":")) params[expected.slice(1)] = decoded(parts[place]);
    else if (expected !== parts[place]) return null;
  }
  return params;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
