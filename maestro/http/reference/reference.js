// Shows /openapi.json. Text is only ever set as text: nothing of the description is taken for markup.
"use strict";

function made(tag, text, attributes) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  return element;
}

/** Return a text as elements: what stands between backticks is code. */
function prose(text) {
  const whole = made("span");
  String(text).split("`").forEach((part, at) => part && whole.append(at % 2 ? made("code", part) : part));
  return whole;
}

/** Return sentences as one text, each with its full stop. */
function sentences(...parts) {
  return parts.filter(Boolean).map((part) => (/[.!?:]$/.test(part) ? part : part + ".")).join(" ");
}

function paragraph(text) {
  const whole = made("p");
  whole.append(prose(text));
  return whole;
}

function nameOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(nameOf).join(" or ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (schema.type === "array") return "list of " + nameOf(schema.items);
  return schema.type || "anything";
}

function rulesOf(schema) {
  const rules = [];
  for (const rule of ["minimum", "maximum", "minLength", "maxLength", "pattern", "default"]) {
    if (schema && schema[rule] !== undefined && schema[rule] !== null && schema[rule] !== "") rules.push(rule + " " + schema[rule]);
  }
  return rules.join(", ");
}

/** Say what a field is, and which values it may have: a pattern may have backticks of its own, so it is no prose. */
function note(description, schema) {
  const whole = prose(description || "");
  const rules = rulesOf(schema);
  if (rules) whole.append((description ? " " : "") + rules);
  return whole;
}

function table(heads, rows) {
  const whole = made("table");
  const head = whole.appendChild(made("tr"));
  for (const text of heads) head.append(made("th", text));
  for (const cells of rows) {
    const row = whole.appendChild(made("tr"));
    for (const cell of cells) row.appendChild(made("td")).append(cell instanceof Node ? cell : prose(cell ?? ""));
  }
  return whole;
}

function link(text, href) {
  const whole = made("a", undefined, { href });
  whole.append(prose(text));
  return whole;
}

function typeCell(schema) {
  const name = nameOf(schema);
  return schema && schema.$ref ? made("a", name, { href: "#schema-" + name }) : made("code", name);
}

function operation(path, method, told) {
  const article = made("article", undefined, { id: told.operationId });
  const head = article.appendChild(made("h3"));
  head.append(made("span", method.toUpperCase(), { class: "method " + method }), path);
  article.append(paragraph(sentences(told.summary, told.description)));
  if (told.parameters) {
    article.append(table(["Parameter", "In", "Type", ""], told.parameters.map((one) => [
      made("code", one.name + (one.required ? " *" : "")), one.in, typeCell(one.schema),
      note(one.description || (one.schema && one.schema.description), one.schema),
    ])));
  }
  if (told.requestBody) {
    const body = article.appendChild(made("p", "Body: "));
    body.append(typeCell(told.requestBody.content["application/json"].schema));
  }
  article.append(table(["Status", "Answer", ""], Object.entries(told.responses).map(([status, answer]) => [
    made("code", status), typeCell(Object.values(answer.content || {}).map((one) => one.schema)[0]), answer.description,
  ])));
  return article;
}

function schema(name, told) {
  const article = made("article", undefined, { id: "schema-" + name });
  article.append(made("h3", name), paragraph(told.description || ""));
  if (told.properties) {
    const required = new Set(told.required || []);
    article.append(table(["Field", "Type", ""], Object.entries(told.properties).map(([field, type]) => [
      made("code", field + (required.has(field) ? " *" : "")), typeCell(type),
      note(type.description, type),
    ])));
  } else {
    article.append(made("pre", JSON.stringify(told.enum || told, null, 1)));
  }
  return article;
}

function show(told) {
  document.getElementById("about").replaceChildren(prose(told.info.version + ". " + told.info.description));
  const operations = document.getElementById("operations");
  const contents = document.getElementById("contents");
  operations.replaceChildren();
  const groups = new Map();
  for (const [path, methods] of Object.entries(told.paths)) {
    for (const [method, one] of Object.entries(methods)) {
      const group = one.tags[0];
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push([path, method, one]);
    }
  }
  for (const [group, members] of groups) {
    operations.append(made("h2", group));
    contents.append(made("h2", group));
    const list = contents.appendChild(made("ul"));
    for (const [path, method, one] of members) {
      operations.append(operation(path, method, one));
      list.appendChild(made("li")).append(link(one.summary, "#" + one.operationId));
    }
  }
  operations.append(made("h2", "Types"));
  for (const [name, one] of Object.entries(told.components.schemas)) operations.append(schema(name, one));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

fetch("/openapi.json", { credentials: "omit" })
  .then((answer) => answer.ok ? answer.json() : Promise.reject(new Error("status " + answer.status)))
  .then(show)
  .catch((problem) => { document.getElementById("operations").textContent = "The description could not be loaded: " + problem.message; });
