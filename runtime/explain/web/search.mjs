// Search over the trace, and the list of breakpoints.
import { h, replace } from "./dom.mjs";
import { hex } from "./names.mjs";
import { link } from "./state_views.mjs";

const MOST = 40;

/** Finds an address, a function, an instruction, a token or a value. */
export function searchBox(app) {
  const results = h("div", { class: "results", role: "listbox", "aria-label": "What was found" });
  const input = h("input", { id: "search", type: "search", placeholder: "search: value, mem 0x10, function, token ( / )", "aria-label": "Search the trace", onkeydown: (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      replace(results, found(app, input.value.trim(), () => replace(results)));
    } else if (event.key === "Escape") replace(results);
  } });
  return h("div", { class: "search" }, input, results);
}

function found(app, text, close) {
  if (!text) return [];
  const hits = [];
  const add = (position, what) => hits.length < MOST && hits.push(h("li", {}, link(what, "Go there", () => { close(); app.select(position); })));
  const address = text.match(/^(?:mem|@)\s*(0x[0-9a-f]+|\d+)$/i);
  if (address) {
    const at = Number(address[1]);
    for (let p = app.trace.nextWrite(at, 0); p >= 0 && hits.length < MOST; p = app.trace.nextWrite(at, p + 1)) {
      const step = app.trace.stepOf(p);
      if (step >= 0) add(p, `${hex(at)} = ${app.table.value[app.trace.tokens[p]]}, step ${step}`);
    }
  } else searchSteps(app, text, add);
  return [hits.length ? h("ol", {}, hits) : h("p", { class: "dim" }, `nothing: ${text}`), hits.length === MOST ? h("p", { class: "dim" }, `the first ${MOST}`) : null];
}

function searchSteps(app, text, add) {
  const value = /^[+-]?(0x[0-9a-f]+|\d+)$/i.test(text) ? BigInt.asUintN(text.startsWith("-") ? 32 : 64, text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text.replace("+", ""))) : null;
  const matching = matches(app, text.toLowerCase());
  const low = value === null ? 0 : Number(value & 255n);
  const token = app.table.ids.get(text);
  let [place, count] = ["", 0];
  for (let n = 0; n < app.trace.count && count < MOST; n++) {
    const step = app.trace.step(n);
    const of = matching(step.index);
    const entered = of.place !== place && of.named;
    place = of.place;
    // The last token of a value is its lowest byte: only where that is the one the value is put together.
    const hit = value === null ? entered || of.worded : of.effect && (app.table.value[app.trace.tokens[step.last]] & 255) === low && app.trace.value(step) === value;
    if (hit) {
      add(step.first, `step ${n}: ${of.place}, ${app.names.step(step.index)} → ${app.names.outcome(app.trace, n)}`);
      count++;
    } else if (token !== undefined) {
      for (let p = step.first; p <= step.last; p++) if (app.trace.tokens[p] === token && count++ < MOST) add(p, `position ${p}: ${text}, step ${n}`);
    }
  }
}

/** What a step of the program has to do with a text: found once for each, not each time that it is executed. */
function matches(app, lower) {
  const known = [];
  return (index) => (known[index] ??= of(index));
  function of(index) {
    const place = app.names.placeOf(index);
    const words = `${app.names.step(index)} ${app.names.instructionOf(index)?.text ?? ""}`;
    return { place, named: place.toLowerCase().includes(lower), worded: words.toLowerCase().includes(lower), effect: app.data.program.steps[index]?.effect };
  }
}

export function breakpointList(app) {
  const box = h("div", { class: "breakpoints" });
  const address = h("input", { size: 8, placeholder: "address", "aria-label": "Address of memory" });
  const step = h("input", { size: 6, placeholder: "step", "aria-label": "Step of the program" });
  const draw = () => replace(box, app.breakpoints.map((b) => h("span", { class: "chip" }, textOf(app, b), " ", link("×", "Remove", () => app.toggleBreakpoint(b)))));
  app.on((what) => what === "breakpoints" && draw());
  const numeric = (input, kind, name) => {
    const value = Number(input.value);
    if (input.value.trim() && Number.isInteger(value)) app.toggleBreakpoint({ kind, [name]: value });
  };
  return h("details", { class: "breaks" }, h("summary", {}, "Breakpoints"), h("p", {},
    step, h("button", { class: "quiet", onclick: () => numeric(step, "step", "step") }, "at this step"), " ",
    address, h("button", { class: "quiet", onclick: () => numeric(address, "write", "address") }, "when this byte is written"), " ",
    h("button", { class: "quiet", onclick: () => app.toggleBreakpoint({ kind: "trap" }) }, "at a trap")), box, h("p", { class: "dim" }, "Or the dots beside the instructions. ▶▶ and ◀◀ go to them."));
}

function textOf(app, b) {
  if (b.kind === "trap") return "a trap";
  return b.kind === "write" ? `writes to ${hex(b.address)}` : `step ${b.step}: ${app.names.step(b.step)}`;
}

