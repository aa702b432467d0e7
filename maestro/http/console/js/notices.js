// How people are told what waits for them: each way, how it does, and a test of it. For who may see it.

import * as api from "./api.js";
import { ask, say } from "./dialog.js";
import { fill, h } from "./dom.js";
import { who } from "./fields.js";
import { amount, time } from "./format.js";
import { t } from "./i18n.js";
import { empty, failed, section } from "./parts.js";
import { table } from "./table.js";

/** Return the section; nothing is seen of it by who may not look. */
export function notices(signal) {
  const element = h("div", {});
  load();
  return element;

  async function load() {
    try {
      const { ways } = await api.notices(signal);
      fill(element, section(t("notices.title"), { id: "notices" }, ways.length ? shown(ways) : empty(t("notices.none"))));
    } catch (problem) {
      if (signal.aborted || problem.status === 403 || problem.missing) return;
      fill(element, section(t("notices.title"), { id: "notices" }, failed(problem, load)));
    }
  }

  function shown(ways) {
    const one = { title: t("action.look"), show: ({ name }) => button(t("notices.test.one", { way: name }), () => test(name)) };
    return [
      table(t("notices.title"), [...columns(), one], ways),
      ways.length > 1 && h("div", { class: "buttons" }, button(t("notices.test"), () => test(""))),
    ];
  }

  /** Ask who tests, send, and say of each way whether it arrived. */
  function test(way) {
    const decider = who();
    const title = way ? t("notices.test.one", { way }) : t("notices.test");
    ask({
      title,
      text: t("notices.test.text"),
      fields: decider.elements,
      button: title,
      act: async () => {
        const { ways } = await api.testNotice({ ...decider.body(), ...(way ? { way } : {}) });
        for (const { name, problem } of ways) {
          say(problem ? t("notices.failed", { way: name, problem }) : t("notices.arrived", { way: name }));
        }
        load();
      },
    });
  }
}

const button = (text, onclick) => h("button", { type: "button", class: "quiet", onclick }, text);

function columns() {
  return [
    { title: t("notices.way"), show: ({ name, shown }) => [name, h("small", {}, shown)] },
    { title: t("notices.delivered"), number: true, show: ({ delivered }) => amount(delivered) },
    { title: t("notices.given_up"), number: true, show: ({ givenUp }) => amount(givenUp) },
    { title: t("notices.last"), show: last },
  ];
}

function last({ last: at, problem }) {
  if (!at) return "–";
  const when = time(new Date(at * 1000).toISOString());
  return [when, problem && h("small", { class: "bad" }, problem)];
}
