// Break it: one weight, token or head changed, a softer softmax, fewer bits; and what goes wrong first.
import { weightsOf } from "./decoder.mjs";
import { h, number, replace } from "./dom.mjs";
import { form } from "./names.mjs";
import { link } from "./state_views.mjs";
import { Trace } from "./trace.mjs";
import { Client } from "./client.mjs";

const PRECISIONS = ["float64", "float32", "bfloat16"];
const MATRIX_TEXT = { q: "queries", k: "keys", v: "values", o: "output of heads", gate: "gates of neurons", up: "ups of neurons", down: "output of neurons" };

export function breakView(app) {
  const verdict = h("div", { class: "verdict", role: "status", "aria-live": "polite" }, "Nothing is changed yet.");
  const table = h("div", {});
  const change = { temperature: 1, precision: "float64", headsOff: new Set(), weights: [], token: null };
  const state = { client: null, trace: null, timer: null };
  const run = () => {
    clearTimeout(state.timer);
    state.timer = setTimeout(() => decode(app, change, state, verdict, table), 120);
  };
  return h("div", { class: "break" },
    h("h2", {}, "Break it"),
    h("p", {}, "The same call, decoded once more by a transformer that is not quite the one that was compiled. Every decoded token is compared with that of the unchanged one."),
    h("div", { class: "break-grid" }, softness(change, run), headsOff(app, change, run), oneWeight(app, change, run), oneToken(app, change, run)),
    verdict, table);
}

function box(title, ...children) {
  return h("section", { class: "panel", "aria-label": title }, h("h3", {}, title), children);
}

function softness(change, run) {
  const shown = h("output", {}, "1");
  const temperature = h("input", { type: "range", min: 0, max: 60, step: 1, value: 0, "aria-label": "Temperature of softmax, as a power of two", oninput: () => {
    change.temperature = 2 ** Number(temperature.value);
    shown.textContent = Number(temperature.value) > 12 ? `2^${temperature.value}` : String(change.temperature);
    run();
  } });
  const bits = h("output", {}, "float64");
  const precision = h("input", { type: "range", min: 0, max: 2, step: 1, value: 0, "aria-label": "Precision", oninput: () => {
    change.precision = PRECISIONS[Number(precision.value)];
    bits.textContent = change.precision;
    run();
  } });
  return box("Softmax and numbers",
    h("label", {}, h("span", {}, "temperature of every softmax: scores are divided by ", shown), temperature),
    h("label", {}, h("span", {}, "everything that is computed is rounded to ", bits), precision),
    h("p", { class: "dim" }, "float64 has 53 bits, float32 24, bfloat16 8."));
}

function headsOff(app, change, run) {
  const all = app.data.names.layers.flatMap((y, layer) => y.heads.map((name, index) => [`${layer}.${index}`, `layer ${layer}: ${name}`]));
  const choice = h("select", { "aria-label": "Head to switch off", onchange: () => {
    change.headsOff = new Set(choice.value ? [choice.value] : []);
    run();
  } }, h("option", { value: "" }, "none"), all.map(([value, text]) => h("option", { value }, text.length > 70 ? `${text.slice(0, 70)} …` : text)));
  return box("One head", h("label", {}, "switch off (it adds nothing)", choice));
}

function oneWeight(app, change, run) {
  const count = app.data.weights.layers.length;
  const layer = h("select", { "aria-label": "Layer" }, Array.from({ length: count }, (_, i) => h("option", { value: i }, `layer ${i}`)));
  const matrix = h("select", { "aria-label": "Matrix" }, Object.entries(MATRIX_TEXT).map(([name, text]) => h("option", { value: name }, `${name}: ${text}`)));
  const entry = h("select", { "aria-label": "Weight" });
  const value = h("input", { size: 10, "aria-label": "New value" });
  const fill = () => {
    const m = (app.weights ??= weightsOf(app.data.weights)).layers[Number(layer.value)][matrix.value];
    const entries = [];
    for (let r = 0; r < m.rows && entries.length < 3000; r++) for (const [c, w] of m.row(r)) entries.push([r, c, w]);
    replace(entry, entries.map(([r, c, w]) => h("option", { value: `${r} ${c} ${w}` }, label(app, Number(layer.value), matrix.value, r, c, w))));
    value.value = entries.length ? entry.value.split(" ")[2] : "";
  };
  layer.addEventListener("change", fill);
  matrix.addEventListener("change", fill);
  entry.addEventListener("change", () => (value.value = entry.value.split(" ")[2]));
  const set = () => {
    const [r, c] = entry.value.split(" ").map(Number);
    const wanted = Number(value.value);
    change.weights = entry.value && Number.isFinite(wanted) ? [[Number(layer.value), matrix.value, r, c, wanted]] : [];
    run();
  };
  const back = () => {
    change.weights = [];
    run();
  };
  layer.value = String(Math.min(count - 1, app.data.weights.layers.findIndex((y) => y.q.shape[0])));
  fill();
  return box("One weight", h("label", {}, layer), h("label", {}, matrix), h("label", {}, entry), h("p", {}, "set it to ", value, " ", h("button", { class: "primary", onclick: set }, "Set"), " ", h("button", { onclick: back }, "As compiled")));
}

function label(app, layer, matrix, r, c, w) {
  const names = app.data.names.layers[layer];
  const width = app.data.weights.head_dim;
  const before = app.data.names.layers[Math.max(layer - 1, 0)].slots;
  if (matrix === "o") return `head ${Math.floor(c / width)}, ${names.slots[r] || r} (${number(w)})`;
  if (matrix === "down") return `${names.neurons[c]} → ${names.slots[r] || r} (${number(w)})`;
  if (matrix === "gate" || matrix === "up") return `${names.neurons[r]}: ${form([[c, w]], names.slots)}`;
  return `head ${Math.floor(r / width)}, component ${r % width}: ${form([[c, w]], before)}`;
}

function oneToken(app, change, run) {
  const position = h("input", { size: 8, "aria-label": "Position" });
  const name = h("input", { size: 10, "aria-label": "Token", list: "vocabulary" });
  const list = h("datalist", { id: "vocabulary" }, app.data.tokens.names.slice(0, 400).map((n) => h("option", { value: n })));
  const error = h("span", { class: "error", role: "alert" });
  const set = () => {
    const token = app.table.ids.get(name.value.trim());
    const at = Number(position.value);
    const wrong = token === undefined ? `no token ${name.value}` : app.forced[at] !== false ? `position ${position.value} is not a decoded one` : "";
    replace(error, wrong);
    if (wrong) return;
    change.token = { position: at, token };
    run();
  };
  const back = () => {
    change.token = null;
    run();
  };
  const here = () => {
    position.value = app.cursor;
    name.value = app.trace.nameOf(app.cursor);
  };
  return box("One token", h("p", {}, "say ", name, list, " at position ", position, " ", h("button", { class: "quiet", onclick: here }, "the one I looked at")), h("p", {}, h("button", { class: "primary", onclick: set }, "Set"), " ", h("button", { onclick: back }, "As decoded"), " ", error));
}

function changesText(app, change) {
  const parts = [];
  if (change.temperature !== 1) parts.push(`temperature ${change.temperature > 4096 ? `2^${Math.log2(change.temperature)}` : change.temperature}`);
  if (change.precision !== "float64") parts.push(change.precision);
  for (const head of change.headsOff) parts.push(`head ${head} off`);
  for (const [layer, matrix, r, c, value] of change.weights) parts.push(`layer ${layer}, ${matrix}[${r}, ${c}] = ${number(value)}`);
  if (change.token) parts.push(`token ${app.table.names[change.token.token]} at ${change.token.position}`);
  return parts.join(", ");
}

/** Decodes with the change in a runner of its own, as many tokens as there were, and compares. */
function decode(app, change, state, verdict, table) {
  const text = changesText(app, change);
  replace(table);
  verdict.classList.remove("bad");
  if (!text) return replace(verdict, "Nothing is changed.");
  replace(verdict, `${text}: decoding …`);
  state.client ??= new Client(app.code, app.data, (message) => state.receive(message));
  state.trace = new Trace(app.data.program, app.table, app.prefix.length);
  let first = -1;
  // What is not decoded yet is nothing to compare with; behind the end nothing may come.
  const known = app.trace.tokens.length;
  const whole = app.ended?.reason === "end";
  const finish = () => {
    const at = first >= 0 ? first : whole && state.trace.tokens.length < known ? state.trace.tokens.length : -1;
    report(app, state.trace, text, at, change, verdict, table);
  };
  state.receive = (message) => {
    if (message.type === "done") return first < 0 && finish();
    if (first >= 0) return;
    state.trace.extend(message.tokens, message.keys);
    for (let p = message.first; p < message.first + message.tokens.length; p++) {
      if ((p < known || whole) && state.trace.tokens[p] !== app.trace.tokens[p] && first < 0) first = p;
    }
    // A few tokens more show what it does with the mistake.
    if (first >= 0) finish();
  };
  state.client.start(app.prompts, change, whole ? known + 200 : known);
}

const CONTEXT = 12;

function report(app, trace, text, at, change, verdict, table) {
  if (at < 0) {
    return replace(verdict, h("b", {}, text), `: all ${trace.tokens.length.toLocaleString("en-US")} tokens stay the same. This was not enough to break it.`);
  }
  verdict.classList.add("bad");
  const own = change.token && change.token.position === at;
  const number_ = Math.max(0, app.trace.stepOf(Math.min(at, app.last)));
  const decoded = app.forced.slice(0, at).filter((f) => !f).length;
  replace(verdict, h("b", {}, text), own ? ": the changed token stands in " : ": first wrong in ", link(`step ${number_}`, "Look at the right one in the explorer", () => { app.view.tab = "explore"; app.select(at); location.hash = `#explore?token=${at}`; }),
    `, ${app.names.step(app.trace.step(number_).index)}, after ${decoded.toLocaleString("en-US")} right tokens: `, h("code", { class: "token" }, trace.nameOf(at) ?? "nothing"), " instead of ", h("code", { class: "token" }, app.trace.nameOf(at) ?? "the end"), ".");
  const rows = [];
  for (let p = Math.max(app.prefix.length, at - 4); p < Math.min(Math.max(trace.tokens.length, app.trace.tokens.length), at + CONTEXT); p++) {
    const [right, wrong] = [app.trace.nameOf(p) ?? "", trace.nameOf(p) ?? ""];
    const step = (t) => (p < t.tokens.length && t.stepOf(p) >= 0 ? app.names.step(t.step(t.stepOf(p)).index) : "");
    rows.push(h("tr", { class: right === wrong ? "" : "other" }, h("td", {}, p), h("td", {}, h("code", {}, right)), h("td", {}, step(app.trace)), h("td", {}, h("code", {}, wrong)), h("td", {}, step(trace))));
  }
  replace(table, h("div", { class: "scroll" }, h("table", { class: "compare" }, h("thead", {}, h("tr", {}, ["position", "right", "of the step", "changed", "of the step"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows))));
}
