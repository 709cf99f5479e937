// Inside one token: where the heads looked, which neurons fired, what the residual held, which logit won.
import { weightsOf } from "./decoder.mjs";
import { figure, folded, h, jsonButton, number, replace } from "./dom.mjs";
import { form, ROLE_TEXT, roleOf } from "./names.mjs";
import { arcs, bars, landscape, logitCurve } from "./plots.mjs";
import { link } from "./state_views.mjs";

const BEST = 6; // keys of a head that are listed
const PANELS = { attention: "Attention", neurons: "Neurons", residual: "Residual stream", logits: "Logits" };

export function insidePanel(app) {
  const body = h("div", { class: "body" });
  const title = h("span", {});
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Inside this token" });
  const draw = () => {
    if (app.view.tab !== "explore" || !app.detail) return;
    replace(title, heading(app));
    replace(tabs, Object.entries(PANELS).map(([name, text]) => h("button", {
      role: "tab", "aria-selected": String(app.view.panel === name), onclick: () => show(app, { panel: name }),
    }, text)));
    const views = { attention, neurons, residual, logits };
    replace(body, views[app.view.panel](app));
  };
  app.on((what) => (what === "detail" || what === "view") && draw());
  return h("section", { class: "panel inside", "aria-label": "Inside this token" }, h("h3", {}, title, jsonButton("token", () => app.detail)), tabs, body);
}

export function show(app, view) {
  Object.assign(app.view, view);
  app.changed("view");
}

function heading(app) {
  const { detail, trace } = app;
  const emitted = trace.nameOf(app.cursor);
  const given = app.forced[app.cursor];
  return [h("code", { class: "token" }, emitted), given ? " given by the prompt; at the position before, " : " came out of position ", h("code", {}, String(detail.position)), ", which reads ", h("code", { class: "token" }, trace.nameOf(detail.position)),
    h("span", { class: "dim" }, ` · computed here in ${detail.ms.toFixed(1)} ms`)];
}

/** Arcs, the list of heads by layer, and one head in full. */
function attention(app) {
  const { detail } = app;
  const heads = detail.layers.flatMap((y) => y.heads);
  const chosen = heads.find((head) => head.number === app.view.head) ?? preferred(app, heads);
  const choose = (head) => show(app, { head: head.number });
  const drawing = arcs(app, detail, chosen?.number, choose);
  const list = h("div", { class: "heads", role: "listbox", "aria-label": "Heads by layer" }, detail.layers.map((y, layer) => (y.heads.length ? h("div", { class: "layer" }, h("span", { class: "dim" }, `layer ${layer}`), y.heads.map((head) => headButton(app, head, chosen, choose))) : null)));
  return [figure(drawing, "Where each head looked: an arc leads from this position to the one that weighs most.", `attention_${detail.position}`), legend(), list, chosen ? oneHead(app, chosen) : null];
}

/** The head to begin with: an operand of the step, else the fetch. */
function preferred(app, heads) {
  const lookup = (head) => app.names.heads(head.layer)[head.index][0];
  const step = app.data.program.steps[app.trace.step(app.stepNumber).index] ?? {};
  const wanted = step.space && step.effect === "value" ? "memory+0" : step.a ? "operand a" : "fetch";
  return heads.find((x) => lookup(x) === wanted) ?? heads.find((x) => lookup(x) === "fetch") ?? heads.find((x) => x.winner >= 0) ?? heads[0];
}

function legend() {
  return h("p", { class: "legend" }, Object.entries(ROLE_TEXT).map(([role, text]) => h("span", {}, h("i", { class: `swatch ${role}` }), text)));
}

function headButton(app, head, chosen, choose) {
  const [lookup] = app.names.heads(head.layer)[head.index];
  return h("button", { role: "option", "aria-selected": String(head === chosen), class: `head ${roleOf(lookup)}`, title: app.names.found(app.trace, head, app.detail.position), onclick: () => choose(head) }, lookup);
}

function oneHead(app, head) {
  const { trace, names, detail } = app;
  const [lookup, values] = names.heads(head.layer)[head.index];
  const weights = (app.weights ??= weightsOf(app.data.weights));
  const y = weights.layers[head.layer];
  const before = names.data.names.layers[Math.max(head.layer - 1, 0)].slots;
  const [box, best] = [h("div", { class: "landscape" }), h("div", { class: "best" })];
  if (head.winner >= 0) {
    app.client.ask({ type: "cloud", position: detail.position, head: head.number }).then((cloud) => {
      const drawing = landscape(cloud, head.winner, (p) => `${names.position(trace, p.position)}: score ${number(p.score)}`);
      replace(box, figure(drawing, "Keys of this head; the query and the winner are marked.", `head_${head.layer}_${head.index}_${detail.position}`));
      replace(best, bestKeys(app, head, cloud));
      head.keys = cloud.points; // for the view as JSON
    });
  }
  const outputs = values.split(", ");
  return h("div", { class: "one" },
    h("h4", {}, `layer ${head.layer}, head ${head.index}: ${lookup}`, head.off ? " (switched off)" : ""),
    h("p", { class: "found" }, h("b", {}, names.found(trace, head, detail.position))),
    box,
    best,
    h("h5", {}, "What it adds to the residual stream"),
    h("ul", { class: "values" }, outputs.map((name, i) => (head.out[i] !== 0 || outputs.length < 9 ? h("li", {}, h("code", {}, name), " += ", h("b", {}, number(head.out[i] ?? 0))) : null))),
    head.q.length ? h("details", {}, h("summary", {}, "Query and key as formulas"), h("table", { class: "forms" }, h("tbody", {}, head.scoreRows.map((r, i) =>
      h("tr", {}, h("td", {}, h("code", {}, `q${i} = ${form(y.q.row(r), before)}`)), h("td", {}, h("code", {}, `k${i} = ${form(y.k.row(r), before)}`)), h("td", {}, h("code", {}, number(head.q[i])))))))) : null);
}

/** The keys with the largest scores, and what they weigh. */
function bestKeys(app, head, cloud) {
  const { trace, names, detail } = app;
  const shown = cloud.points.slice(0, BEST).map((k) => {
    const weight = Math.exp(k.score - head.highest) / head.total;
    return {
      label: h("span", {}, link(String(k.position), "Go to this position", () => app.select(k.position + 1)), " ", names.position(trace, k.position)),
      value: weight, shown: `${number(k.score)} → ${weight === 1 ? "1" : weight === 0 ? "0" : number(weight)}`, class: k.position === head.winner ? "won" : "",
    };
  });
  return [h("h5", {}, `Best keys: score → weight (${head.attended.toLocaleString("en-US")} of ${(detail.position + 1).toLocaleString("en-US")} weights are not 0)`), bars(shown)];
}

/** Neurons that fired, by layer: formula and value. */
function neurons(app) {
  const weights = (app.weights ??= weightsOf(app.data.weights));
  const filter = app.view.all ? () => true : (n) => n.value !== 0;
  const few = app.detail.layers.reduce((sum, y) => sum + y.neurons.filter((n) => n.value !== 0).length, 0) < 60;
  const layers = app.detail.layers.map((y, layer) => {
    const names = app.data.names.layers[layer];
    const fired = y.neurons.filter(filter).filter((n) => app.view.erase || !names.neurons[n.f].startsWith("erase "));
    if (!fired.length) return null;
    const m = weights.layers[layer];
    const down = (m.downT ??= m.down.transposed());
    const open = few || (app.view.layer === undefined ? layer >= app.detail.layers.length - 4 : app.view.layer === layer);
    return folded(open, `layer ${layer}: ${fired.length} of ${y.neurons.length} neurons`, () =>
      h("table", {}, h("thead", {}, h("tr", {}, ["neuron", "relu(gate) · (up)", "gate", "up", "value", "added to"].map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", {}, fired.map((n) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, names.neurons[n.f])), h("td", {}, h("code", {}, `relu(${form(m.gate.row(n.f), names.slots)}) · (${form(m.up.row(n.f), names.slots)})`)),
          h("td", {}, number(n.gate)), h("td", {}, number(n.up)), h("td", {}, h("b", {}, number(n.value))), h("td", {}, h("code", {}, down.row(n.f).map(([slot, weight]) => `${names.slots[slot] || slot}${weight === 1 ? "" : ` (${number(weight)}×)`}`).join(", "))))))));
  });
  return [h("p", {}, check(app, "erase", "also neurons that only erase a slot"), check(app, "all", "also those that stayed silent")), h("div", { class: "scroll" }, layers)];
}

function check(app, name, text) {
  return h("label", { class: "check" }, h("input", { type: "checkbox", checked: Boolean(app.view[name]), onchange: (event) => show(app, { [name]: event.target.checked }) }), ` ${text} `);
}

/** Slots by name, a column for each layer at which one of them changed. */
function residual(app) {
  const { detail, data } = app;
  const states = [{ name: "embedding", x: detail.start, slots: data.names.layers[0].slots, layer: 0 }];
  detail.layers.forEach((y, layer) => {
    states.push({ name: `${layer} attention`, x: y.attended, slots: data.names.layers[layer].slots, layer });
    states.push({ name: `${layer} MLP`, x: y.end, slots: data.names.layers[layer].slots, layer });
  });
  const changes = states.map((state, i) => ({ ...state, before: i ? states[i - 1].x : null })).map((state) => ({
    ...state, slots: Array.from(state.x, (value, slot) => ({ slot, value, name: nameIn(data, state.layer, slot), was: state.before ? state.before[slot] : 0 })).filter((e) => e.value !== e.was),
  })).filter((state) => state.slots.length);
  const filter = h("input", { "aria-label": "Filter by name", placeholder: "filter by name", value: app.view.slot ?? "", onchange: () => show(app, { slot: filter.value }) });
  const wanted = (app.view.slot ?? "").toLowerCase();
  return [h("p", { class: "tools" }, filter, h("span", { class: "dim" }, " What each sublayer changed, in order.")), h("div", { class: "scroll residual" }, changes.map((state) => {
    const shown = state.slots.filter((e) => e.name.toLowerCase().includes(wanted));
    return shown.length ? folded(shown.length < 24 || wanted !== "", `${state.name}: ${shown.length} slots`, () => h("ul", { class: "chips" }, shown.map((e) => h("li", { title: `slot ${e.slot}, was ${number(e.was)}` }, h("code", {}, e.name), " ", h("b", {}, number(e.value)), e.was !== 0 ? h("span", { class: "dim" }, ` was ${number(e.was)}`) : null)))) : null;
  }))];
}

function nameIn(data, layer, slot) {
  return data.names.layers[layer].slots[slot] || `slot ${slot}`;
}

function logits(app) {
  const { logits: found } = app.detail;
  const names = app.table.names;
  return [h("p", { class: "found" }, h("b", {}, names[found.winner]), ` has the largest logit of ${names.length.toLocaleString("en-US")}; the next best is `, h("code", {}, names[found.second]), `, ${number(found.margin)} below.`,
    app.forced[app.cursor] ? " The prompt says otherwise what comes next, so nobody asks." : ""),
  figure(logitCurve(app, found), "Logits of the ids around the winner: a parabola whose peak is the computed id.", `logits_${app.detail.position}`),
  h("details", {}, h("summary", {}, "As numbers"), h("table", {}, h("tbody", {}, found.near.map(([id, value]) => h("tr", { class: id === found.winner ? "reads" : "" }, h("td", {}, id), h("td", {}, h("code", {}, names[id])), h("td", {}, number(value)))))))];
}
