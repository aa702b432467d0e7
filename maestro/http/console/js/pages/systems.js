// All systems: the way to each one's queues.

import * as api from "../api.js";
import { h, region } from "../dom.js";
import { Failures, glance } from "../glance.js";
import { t } from "../i18n.js";
import { watch } from "../live.js";
import { notices } from "../notices.js";
import { failed, loading, section } from "../parts.js";

export function systemsPage({ signal }) {
  const list = region(({ systems, problem }) =>
    problem ? failed(new api.Failure(problem[0], problem[1])) : glance(systems),
  );
  const failures = new Failures();
  list.element.append(loading());
  watch(look, { signal });
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, t("systems.title")),
    h("p", { class: "lead" }, t("systems.lead")),
    section(t("inbox.systems"), {}, list.element),
    notices(signal),
  );

  async function look() {
    try {
      const [systems, page] = await Promise.all([api.systems(signal), api.todo({ limit: 1 }, signal)]);
      list.update({ systems: await failures.of(systems, page, signal) });
    } catch (problem) {
      if (!signal.aborted) list.update({ problem: [problem.status ?? 0, problem.message] });
    }
  }
}
