// The trace explorer.
import { h, replace } from "./dom.mjs";
import { insidePanel } from "./inside.mjs";
import { breakpointList, searchBox } from "./search.mjs";
import { callsPanel, memoryPanel, outputPanel, slotsPanel, sourcePanel } from "./state_views.mjs";
import { callForm, transport } from "./transport.mjs";

export function exploreView(app) {
  return h("div", { class: "explore" },
    h("div", { class: "controls" }, callForm(app), transport(app), h("div", { class: "row" }, searchBox(app), breakpointList(app))),
    tokenStrip(app),
    h("div", { class: "columns" },
      sourcePanel(app),
      h("div", { class: "machine" }, slotsPanel(app)),
      h("div", { class: "machine" }, callsPanel(app), memoryPanel(app), outputPanel(app))),
    insidePanel(app));
}

const AROUND = 14;

/** The tokens around the cursor; those of one step stand together. */
export function tokenStrip(app) {
  const strip = h("div", { class: "strip", role: "group", "aria-label": "Tokens" });
  const draw = () => {
    if (!app.trace.count) return;
    const from = Math.max(app.prefix.length, app.cursor - AROUND);
    const groups = [];
    for (let p = from; p <= Math.min(app.last, app.cursor + AROUND); p++) {
      const step = app.trace.stepOf(p);
      const token = h("button", { class: `token ${p === app.cursor ? "now" : ""} ${app.forced[p] ? "given" : ""} ${wrongAt(app, p) ? "wrong" : ""}`, "aria-current": p === app.cursor ? "true" : null,
        title: `${app.names.position(app.trace, p)} (position ${p}${app.forced[p] ? ", given by the prompt" : ", decoded"})`, onclick: () => app.select(p) }, app.trace.nameOf(p));
      const group = groups[groups.length - 1];
      if (group && group.step === step && step >= 0) group.tokens.push(token);
      else groups.push({ step, tokens: [token] });
    }
    replace(strip, groups.map((g) => h("span", { class: g.step === app.stepNumber ? "group now" : "group", title: g.step >= 0 ? `step ${g.step}: ${app.names.step(app.trace.step(g.step).index)}` : "prompt" }, g.tokens)));
  };
  app.on((what) => ["run", "tokens", "cursor"].includes(what) && draw());
  return strip;
}

function wrongAt(app, position) {
  return app.ended?.agreed && app.ended.agreed.first >= 0 && position >= app.ended.agreed.first;
}
