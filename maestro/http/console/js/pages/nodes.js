// The nodes of the cluster: who lives, what each owns, and who claims systems.

import * as api from "../api.js";
import { h, region } from "../dom.js";
import { amount } from "../format.js";
import { t } from "../i18n.js";
import { watch } from "../live.js";
import { empty, failed, loading, notice, section } from "../parts.js";
import { href } from "../router.js";
import { table } from "../table.js";

export function nodesPage({ signal }) {
  const list = region(({ told, problem }) => (problem ? failed(new api.Failure(problem[0], problem[1])) : shown(told)));
  list.element.append(loading());
  watch(look, { signal, streams: false });
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, t("nodes.title")),
    h("p", { class: "lead" }, t("nodes.lead")),
    list.element,
  );

  async function look() {
    try {
      list.update({ told: await api.nodes(signal) });
    } catch (problem) {
      if (!signal.aborted) list.update({ problem: [problem.status ?? 0, problem.message] });
    }
  }
}

function shown({ cluster, says, node, nodes, unowned }) {
  if (!cluster) return empty(says);
  const columns = [
    { title: t("nodes.node"), show: (one) => named(one, one.name === node) },
    {
      title: t("word.state"),
      show: (one) => [state(one), one.holdsEvents && h("small", {}, t("nodes.events")), (one.waitsFor ?? []).map(wait)],
    },
    { title: t("nodes.systems"), number: true, show: (one) => amount(one.systems) },
    { title: t("nodes.capacity"), number: true, show: (one) => amount(one.capacity) },
    { title: t("nodes.version"), show: (one) => one.version },
  ];
  return [
    says && notice("attention", says),
    unowned.length > 0 &&
      notice("danger", h("strong", {}, t("nodes.unowned", { n: unowned.length })), " ", unowned.map(link)),
    section(t("nodes.of", { cluster }), { id: "nodes" }, table(t("nodes.title"), columns, nodes)),
  ];
}

function named({ name, url }, answers) {
  return [h("strong", {}, name), answers && ` ${t("nodes.this")}`, h("small", {}, url)];
}

function state({ claims, whyNot, holdsLease }) {
  const tone = claims ? "ok" : holdsLease ? "attention" : "neutral";
  return h("span", { class: `badge ${tone}` }, claims ? t("nodes.lives") : t(`nodes.why.${whyNot}`));
}

function wait({ system, why }) {
  return h("small", {}, t("nodes.waits", { system }), " ", t(`nodes.waits.${why}`));
}

function link(system) {
  return [h("a", { href: href(`/systems/${encodeURIComponent(system)}`), "data-key": system }, system), " "];
}
