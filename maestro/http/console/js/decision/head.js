// The top of a decision page: in one sentence what is asked or what became of it, and the facts.

import { held, impact, last, origin, phase, progress } from "../documents.js";
import { h } from "../dom.js";
import { gist, id, time, words } from "../format.js";
import { known, t } from "../i18n.js";
import { badge, facts } from "../parts.js";
import { href } from "../router.js";
import { Status } from "../statuses.js";

export function head(doc) {
  const event = origin(doc);
  const about = gist(event.payload);
  return [
    h("p", { class: "crumbs" }, h("a", { href: href("/"), "data-key": "crumb" }, t("nav.inbox")), " / ", doc.systemId),
    h(
      "div",
      { class: "title" },
      h(
        "h1",
        { tabindex: "-1" },
        doc.late ? t("late.decision.title") : t("decision.title", { event: words(event.name) }),
        about && h("span", { class: "gist" }, about),
      ),
      doc.late && h("span", { class: "badge attention" }, t("late.badge")),
      badge(doc.status),
    ),
    h("p", { class: "lead" }, sentence(doc)),
    phase(doc) === "pending" &&
      h(
        "button",
        { type: "button", class: "to-decision", "data-key": "to-decision", onclick: toDecision },
        t("decision.go"),
      ),
    facts([
      [
        t("word.system"),
        h("a", { href: href(`/systems/${encodeURIComponent(doc.systemId)}`), "data-key": "system" }, doc.systemId),
      ],
      [t("word.branch"), doc.branch],
      [t("word.event"), h("span", { class: "mono" }, event.name ?? "–")],
      [t("word.tag"), id(doc.tag)],
      [t("word.instance"), id(doc.pendingEvent?.instanceId)],
      [t("decision.held"), time(held(doc).timestamp)],
    ]),
  ];
}

/** On a narrow screen the form stands far below: go there. */
function toDecision() {
  const form = document.querySelector("#decide");
  form.scrollIntoView();
  form.querySelector("textarea").focus({ preventScroll: true });
}

/** Say in plain words what is asked, what happens now, or what came of it. */
function sentence(doc) {
  const { n } = impact(doc);
  const values = { n, event: words(origin(doc).name), user: last(doc).user, ...progress(doc) };
  switch (phase(doc)) {
    case "pending":
      if (doc.late) return t("late.sentence", values);
      return [t("sentence.pending", values), " ", h("strong", {}, t("sentence.nothing"))];
    case "running":
      return t(running(doc), values);
    case "ended":
      if (doc.status === Status.FINISHED && leftOld(doc).length) return finishedBut(doc);
      return [
        (doc.late && known(`late.sentence.${doc.status}`, "")) || known(`sentence.${doc.status}`, t("sentence.failure")),
        last(doc).cause && h("span", { class: "cause" }, last(doc).cause),
      ];
    default:
      return t(`sentence.${phase(doc)}`, values);
  }
}

/** Say what of a finished run is still on old data: what was left out, or impacted again after its last round. */
const leftOld = ({ leftOut, reimpacted }) =>
  [
    leftOut?.length > 0 && t("sentence.left.out", { n: leftOut.length }),
    reimpacted?.length > 0 && t("sentence.left.again", { n: reimpacted.length }),
  ].filter(Boolean);

function finishedBut(doc) {
  const state = doc.reimpacted?.length ? "" : "left_out";
  const stale = h("a", { href: href("/stale", { system: doc.systemId, state }), "data-key": "stale" }, t("sentence.left.see"));
  return [t(doc.late ? "late.sentence.finished.but" : "sentence.finished.but"), " ", leftOld(doc).join("; "), ". ", stale];
}

function running(doc) {
  if (doc.cancelling) return "sentence.cancelling";
  if (doc.pausing) return "sentence.pausing";
  if (doc.late) return "late.sentence.running";
  return doc.heldCommitted ? "sentence.running" : "sentence.starting";
}
