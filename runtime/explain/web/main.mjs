// Begins: in a worker it decodes, in a page it shows.
import { App } from "./app.mjs";
import { breakView } from "./break_view.mjs";
import { chapters } from "./chapters.mjs";
import { h, replace } from "./dom.mjs";
import { exploreView } from "./explore.mjs";
import { hashOf, readHash } from "./permalink.mjs";
import { serve } from "./runner.mjs";

const ADDRESS_MS = 250;
const TABS = { explore: "Explore", break: "Break it", chapters: "Learn" };

function begin() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const app = new App(data, document.getElementById("code").textContent);
  window.wasm2xformer = app;
  const views = { explore: exploreView(app), break: breakView(app), chapters: chapters(app) };
  const main = h("main", { id: "main" });
  const nav = h("nav", { class: "top", "aria-label": "Parts of the page" });
  const show = () => {
    replace(nav, Object.entries(TABS).map(([name, text]) => h("button", { "aria-current": app.view.tab === name ? "page" : null, onclick: () => open(name) }, text)), theme());
    if (main.firstChild !== views[app.view.tab]) replace(main, views[app.view.tab]);
  };
  const open = (name) => {
    app.view.tab = name;
    show();
    app.changed("tab");
    app.changed("cursor");
    app.changed("detail");
  };
  replace(document.getElementById("app"), h("a", { class: "skip", href: "#main" }, "Skip to the content"), header(app, nav, open), main);
  let known = location.hash;
  const restore = () => {
    known = location.hash;
    const wanted = readHash(location.hash);
    Object.assign(app.view, wanted.view);
    app.breakpoints = wanted.breakpoints;
    try {
      if (wanted.calls) app.runCalls(wanted.calls, wanted.token);
      else app.runRecorded(wanted.token);
    } catch {
      app.runRecorded();
    }
    show();
    app.changed("tab");
    app.changed("breakpoints");
  };
  // Browsers refuse hundreds of addresses within seconds.
  let writing = null;
  const write = () => {
    writing = null;
    if (location.hash !== known) return; // another one was typed just now, and is about to be read
    history.replaceState(null, "", hashOf(app));
    known = location.hash;
  };
  app.on((what) => {
    if (what !== "tokens" && what !== "run" && app.trace) writing ??= setTimeout(write, ADDRESS_MS);
  });
  window.addEventListener("hashchange", restore);
  restore();
}

function theme() {
  const toggle = () => {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  };
  return h("button", { class: "theme", title: "Dark or light", "aria-label": "Dark or light", onclick: toggle }, "◐");
}

function header(app, nav, open) {
  const status = h("output", { class: "status", "aria-live": "polite" });
  const left = app.data.left_out ? ` The recorded runs are longer: ${app.data.left_out.toLocaleString("en-US")} tokens of them are not in this page.` : "";
  const draw = () => {
    const decoded = app.forced.filter((f) => !f).length;
    const total = app.trace.tokens.length;
    const agreed = app.ended?.agreed;
    const verdict = !app.ended ? "decoding …" : !agreed ? "" : agreed.first < 0 ? `All ${agreed.same.toLocaleString("en-US")} are the recorded ones.` : `The first that is not the recorded one stands at position ${agreed.first}.`;
    replace(status, `${app.prefix.length.toLocaleString("en-US")} tokens hold the program, ${(total - app.prefix.length).toLocaleString("en-US")} followed; ${decoded.toLocaleString("en-US")} of them were decoded by this page`,
      app.ended ? ` (${(app.ended.ms / 1000).toFixed(2)} s). ` : ". ", h("b", {}, verdict), left,
      app.ended?.reason === "limit" ? [" It goes on: ", h("button", { class: "quiet", onclick: () => app.more(100000) }, "decode 100,000 more")] : null);
  };
  let last = 0;
  app.on((what) => {
    if ((what === "tokens" && (app.ended || performance.now() - last > 200)) || what === "run") {
      last = performance.now();
      draw();
    }
  });
  const { weights } = app.data;
  const heads = weights.layers.reduce((sum, y) => sum + y.q.shape[0] / weights.head_dim, 0);
  const neurons = weights.layers.reduce((sum, y) => sum + y.gate.shape[0], 0);
  return h("header", {}, h("div", {}, h("h1", {}, app.data.title), h("p", { class: "sub" }, `A transformer of ${weights.layers.length} layers, ${heads} heads and ${neurons.toLocaleString("en-US")} neurons, width ${weights.width}. Its weights were computed from the program, not trained, and they are in this file. `, h("button", { class: "link start", onclick: () => open("chapters") }, "What is this? Begin with the five chapters."))), nav, status);
}

if (typeof document === "undefined") serve(self);
else begin();
