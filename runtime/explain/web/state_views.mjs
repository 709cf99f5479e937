// Source, slots, calls, memory and output before the current step.
import { h, jsonButton, replace } from "./dom.mjs";
import { hex, signed } from "./names.mjs";
import { KIND } from "./trace.mjs";

const NEAR = 60; // lines of a long function around the current one
const LEVELS = 60; // calls that are listed
const LATEST = 20000; // bytes of output that are shown

/** A panel with a heading that is drawn anew when what it shows has changed. */
export function panel(app, title, draw, { json = null, when = ["run", "tokens", "cursor"], className = "" } = {}) {
  const body = h("div", { class: "body" });
  const section = h("section", { class: `panel ${className}`, "aria-label": title }, h("h3", {}, title, json ? jsonButton(title.toLowerCase().replaceAll(" ", "_"), json) : null), body);
  let last = "";
  app.on((what) => {
    if (app.view.tab !== "explore" || !when.includes(what) || !app.trace.count) return;
    const state = `${app.client.run} ${app.cursor} ${what === "tokens" ? "" : what}`;
    if (what === "tokens" && last === state) return;
    last = state;
    replace(body, draw());
  });
  return section;
}

/** WAT of the current function with the current instruction, or the steps of an entry. */
export function sourcePanel(app) {
  const listing = new FunctionListing(app);
  const draw = () => {
    const step = app.trace.step(app.stepNumber);
    const at = app.names.instructionOf(step.index) ?? nearestInstruction(app, step.index);
    const heading = h("p", { class: "now" }, h("b", {}, app.names.placeOf(step.index)), h("code", {}, app.names.step(step.index)), h("span", {}, `→ ${app.names.outcome(app.trace, app.stepNumber)}`));
    const written = at && at.file >= 0 ? cLines(app, at) : null;
    const lines = at ? listing.at(at) : entryLines(app, step.index);
    queueMicrotask(() => {
      for (const box of [lines, written?.querySelector("ol")].filter(Boolean)) {
        const current = box.querySelector(".current");
        if (current) box.scrollTop = current.offsetTop - box.clientHeight / 2;
      }
    });
    return [heading, written, lines];
  };
  return panel(app, "Source", draw, { when: ["run", "tokens", "cursor", "breakpoints"], json: () => app.data.source, className: "source" });
}

/** The lines of the source file around the one that debug information names. */
function cLines(app, at) {
  const file = app.data.source.files[at.file];
  const shown = file.lines.length > 1 ? file.lines : [];
  const from = Math.max(0, at.line - NEAR);
  return h("div", { class: "written" }, h("p", { class: "dim" }, `${file.name}, line ${at.line}`), shown.length
    ? h("ol", { class: "code", tabindex: 0, "aria-label": `Lines of ${file.name}` }, shown.slice(from, at.line + NEAR).map((text, i) =>
      h("li", { class: from + i + 1 === at.line ? "current" : "", "aria-current": from + i + 1 === at.line ? "step" : null }, h("span", { class: "offset" }, from + i + 1), h("code", {}, text))))
    : null);
}

/** Of a step without an instruction of its own inside a function: the one before it. */
function nearestInstruction(app, index) {
  const f = app.names.functionAt(index);
  if (!f) return null;
  for (let i = index - 1; i >= f.entry; i--) {
    const found = app.names.instructionOf(i);
    if (found) return { ...found, after: true };
  }
  return null;
}

function stepsOfInstruction(app) {
  if (!app.stepsAt) {
    app.stepsAt = new Map();
    app.data.program.steps.forEach((step, i) => {
      if (step.site) {
        const name = step.site.join(" ");
        app.stepsAt.set(name, [...(app.stepsAt.get(name) ?? []), i]);
      }
    });
  }
  return app.stepsAt;
}

/** Instructions of one function. A list that was made serves again, for each step within it. */
class FunctionListing {
  constructor(app) {
    Object.assign(this, { app, list: null, index: -1, from: 0, to: 0, marked: null });
  }

  at(at) {
    const f = this.app.names.listings.get(at.function);
    const current = f.lines.findIndex((line) => line[0] === at.instruction);
    const breaks = JSON.stringify(this.app.breakpoints);
    const inside = this.index === at.function && this.from <= current && current < this.to && this.breaks === breaks;
    if (!inside) {
      const from = Math.max(0, current - NEAR);
      const to = Math.min(f.lines.length, current + NEAR);
      Object.assign(this, { index: at.function, from, to, breaks, list: functionLines(this.app, at.function, f, from, to), marked: null });
    }
    if (this.marked) {
      this.marked.classList.remove("current", "after");
      this.marked.removeAttribute("aria-current");
    }
    this.marked = this.list.children[1 + current - this.from];
    this.marked.classList.add("current", ...(at.after ? ["after"] : []));
    this.marked.setAttribute("aria-current", "step");
    return this.list;
  }
}

function functionLines(app, index, f, from, to) {
  const header = `(func $${f.name}${f.params.length ? ` (param ${f.params.join(" ")})` : ""}${f.results.length ? ` (result ${f.results.join(" ")})` : ""}${f.locals.length ? ` (local ${f.locals.join(" ")})` : ""}`;
  const rows = f.lines.slice(from, to).map(([number, offset, depth, text]) => {
    const steps = stepsOfInstruction(app).get(`${index} ${number}`) ?? [];
    const broken = steps.some((step) => app.breakpoints.some((b) => b.kind === "step" && b.step === step));
    const mark = steps.length
      ? h("button", { class: broken ? "mark on" : "mark", title: `Breakpoint at step ${steps.join(", ")}`, "aria-label": `Breakpoint at ${text}`, "aria-pressed": String(broken), onclick: () => app.toggleBreakpoint({ kind: "step", step: steps[0] }) }, "●")
      : h("span", { class: "mark" });
    return h("li", { class: steps.length ? "" : "folded" },
      mark, h("span", { class: "offset" }, offset >= 0 ? offset.toString(16) : ""), h("code", {}, "  ".repeat(depth) + text));
  });
  return h("ol", { class: "code", tabindex: 0, "aria-label": `Instructions of ${f.name}` }, h("li", { class: "head" }, h("code", {}, header)), rows);
}

function entryLines(app, index) {
  const entry = app.names.functionAt(index) ? app.names.functionAt(index).entry : app.names.entryAt(index)?.first ?? index;
  const rows = [];
  for (let i = entry; i < app.data.program.steps.length && rows.length < NEAR; i++) {
    const control = app.data.program.steps[i].control;
    rows.push(h("li", { class: i === index ? "current" : "", "aria-current": i === index ? "step" : null }, h("span", { class: "offset" }, i), h("code", {}, app.names.step(i))));
    if (i >= index && (control === "end" || control === "return")) break;
  }
  return h("ol", { class: "code", tabindex: 0, "aria-label": "Steps" }, rows);
}

/** Locals, operand stack and the rest of the frame; what the step reads and writes is marked. */
export function slotsPanel(app) {
  const rows = () => {
    const number = app.stepNumber;
    const step = app.trace.step(number);
    const declared = app.data.program.steps[step.index] ?? {};
    const f = app.names.functionAt(step.index);
    const entry = app.names.entryAt(step.index);
    const size = f ? f.slots : 1 + Math.max(entry ? entry.params.length + entry.registers.length : 0, entry?.results.length ?? 0);
    const read = [declared.a, declared.b, declared.c].filter(Boolean).map(String);
    const all = Array.from({ length: Math.min(size, 200) }, (_, i) => ["frame", i]);
    const seen = new Set(all.map(String));
    const others = [...app.trace.slots.keys()].map((name) => name.split(" ")).filter(([kind]) => kind !== "frame").map(([kind, index]) => [kind, kind === "hidden" ? index : Number(index)]);
    for (const slot of [...others, declared.a, declared.b, declared.c, declared.dest]) {
      if (slot && slot[0] !== "const" && !seen.has(String(slot)) && seen.add(String(slot))) all.push(slot);
    }
    return all.map((slot) => ({
      slot, name: app.names.slot(slot), role: slot[0] === "frame" ? app.names.role(f, slot[1]) : slot[0] === "hidden" ? "register" : "global",
      held: app.trace.slot(slot, step.frame, number), reads: read.includes(String(slot)), writes: String(declared.dest) === String(slot),
    }));
  };
  const draw = () => {
    const listed = rows().filter((r) => r.held || r.reads || r.writes || r.slot[0] === "frame");
    const order = { param: 0, local: 1, stack: 2, slot: 2, global: 3, register: 4 };
    listed.sort((a, b) => order[a.role.split(" ")[0]] - order[b.role.split(" ")[0]]);
    return h("table", {}, h("thead", {}, h("tr", {}, ["slot", "", "holds", "written by", "read next"].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", {}, listed.map((r) => h("tr", { class: `${r.reads ? "reads" : ""} ${r.writes ? "writes" : ""}` },
        h("th", { scope: "row" }, h("code", {}, r.name)), h("td", { class: "dim" }, r.role, r.reads ? " · read now" : "", r.writes ? " · written now" : ""),
        h("td", {}, h("code", {}, r.held ? signed(r.held.value, r.held.value >= 1n << 32n) : "–")),
        h("td", {}, r.held && r.held.step >= 0 ? link(`step ${r.held.step}`, "Who wrote this value", () => app.selectStep(r.held.step)) : ""),
        h("td", {}, r.held && r.held.step >= 0 ? reader(app, () => app.trace.step(r.held.step).last, "slot") : "")))));
  };
  return panel(app, "Locals and stack", draw, { json: rows });
}

export function link(text, title, onclick) {
  return h("button", { class: "link", title, onclick }, text);
}

/** A button that finds out who reads a value next, and goes there. */
export function reader(app, position, what) {
  const button = link("who?", "Who reads this value next?", async () => {
    const found = await app.nextReader(position(), what);
    if (found) app.select(found[1]);
    else button.replaceWith(h("span", { class: "dim" }, "nobody"));
  });
  return button;
}

export function callsPanel(app) {
  const stack = () => {
    const step = app.trace.step(app.stepNumber);
    const call = app.trace.calls[step.call];
    const levels = app.trace.callStack(app.stepNumber).reverse().map((number) => {
      const next = app.trace.steps[number + 1] ?? app.trace.open;
      return { step: number, frame: next.frame, index: next.index };
    });
    return [...levels, { step: call?.step ?? 0, frame: 0, index: -1 }];
  };
  const place = (level) => (level.index < 0 ? `call of ${app.trace.calls[app.trace.step(app.stepNumber).call]?.entry.name || "the start function"}` : app.names.placeOf(level.index));
  const draw = () => {
    const levels = stack();
    return h("ol", { class: "stack", reversed: true, start: levels.length }, levels.slice(0, LEVELS).map((level, i) =>
      h("li", { class: i === 0 ? "top" : "" }, h("b", {}, place(level)), ` frame ${level.frame} `, link(`step ${level.step}`, "The call", () => app.selectStep(level.step)))),
    levels.length > LEVELS ? h("li", { class: "dim" }, `… and ${(levels.length - LEVELS).toLocaleString("en-US")} more`) : null);
  };
  return panel(app, "Call stack", draw, { json: () => stack().map((level) => ({ place: place(level), step: level.step, frame: level.frame })) });
}

/** Memory as hex, 16 rows around the address that the step touches or that was asked for. */
export function memoryPanel(app) {
  let chosen = null;
  let asked = false;
  const address = h("input", { size: 10, "aria-label": "Address", placeholder: "address", onchange: () => { chosen = parse(address.value); asked = chosen !== null; app.changed("cursor"); } });
  const touched = () => {
    const step = app.trace.step(app.stepNumber);
    const declared = app.data.program.steps[step.index] ?? {};
    if (declared.effect === "store") return { address: app.trace.keys[step.first - 1] - app.table.place[app.trace.tokens[step.first]], width: declared.access, writes: true };
    if (declared.space !== "linear" || !declared.a) return null;
    const base = app.trace.slot(declared.a, step.frame, app.stepNumber);
    return base ? { address: Number(base.value) + (declared.imm ?? 0), width: declared.access, writes: false } : null;
  };
  const draw = () => {
    if (app.trace.lowestByte === Infinity && !touched()) return h("p", { class: "dim" }, "Nothing was ever written to memory.");
    const now = touched();
    if (now && !asked) chosen = now.address;
    chosen ??= app.trace.lowestByte;
    const start = Math.floor(chosen / 16) * 16 - 32;
    const last = app.trace.lastStore(app.stepNumber);
    const from = app.trace.step(app.stepNumber).first;
    const rows = [];
    for (let row = Math.max(start, chosen < 0 ? start : 0), count = 0; count < 8; row += 16, count++) rows.push(memoryRow(app, row, from, now, last));
    return [h("p", { class: "tools" }, h("label", {}, "go to ", address), " ", h("span", { class: "dim" }, "a byte: who wrote it")),
      h("div", { class: "scroll", tabindex: 0, "aria-label": "Bytes of memory" }, h("table", { class: "memory" }, h("tbody", {}, rows)))];
  };
  return panel(app, "Memory", draw, { json: () => [...app.trace.bytes.keys()].sort((a, b) => a - b).map((a) => [a, app.trace.byte(a, app.trace.step(app.stepNumber).first)?.value ?? null]) });
}

function memoryRow(app, row, from, now, last) {
  const cells = [];
  let text = "";
  for (let a = row; a < row + 16; a++) {
    const byte = app.trace.byte(a, from);
    const touches = now && a >= now.address && a < now.address + now.width;
    const classes = [touches ? (now.writes ? "writes" : "reads") : "", last.has(a) ? "last" : "", byte ? "" : "never"].join(" ");
    const value = byte ? byte.value.toString(16).padStart(2, "0") : "00";
    const number = byte ? app.trace.stepOf(byte.position) : -1;
    const wrote = byte ? (number >= 0 ? `written by step ${number}` : "from the prompt") : "never written";
    cells.push(h("td", { class: classes }, byte
      ? h("button", { class: "byte", title: `${hex(a)}: ${byte.value}, ${wrote}`, onclick: (event) => byteMenu(app, event.currentTarget, a, byte, number) }, value)
      : h("span", { title: `${hex(a)}: never written` }, value)));
    text += byte && byte.value >= 32 && byte.value < 127 ? String.fromCharCode(byte.value) : "·";
  }
  return h("tr", {}, h("th", { scope: "row" }, hex(row, 8).replace("0x", "")), cells, h("td", { class: "text" }, text));
}

function byteMenu(app, button, address, byte, step) {
  document.querySelector(".menu")?.remove();
  const close = () => menu.remove();
  const menu = h("div", { class: "menu", role: "menu" },
    h("b", {}, `${hex(address)} = ${byte.value}`),
    step >= 0 ? link(`written by step ${step}`, "Who wrote this byte?", () => { close(); app.select(byte.position); }) : h("span", { class: "dim" }, "from the prompt"),
    link("who reads it next?", "Who reads this byte next?", async (event) => {
      const line = event.currentTarget;
      const found = await app.nextReader(byte.key, "memory");
      if (found) { close(); app.select(found[1]); } else line.replaceWith(h("span", { class: "dim" }, "nobody reads it"));
    }),
    link("break when it is written", "Breakpoint on writes to this byte", () => { close(); app.toggleBreakpoint({ kind: "write", address }); }),
    link("close", "Close", close));
  const { left, bottom } = button.getBoundingClientRect();
  document.body.append(menu);
  menu.style.left = `${scrollX + Math.min(left, innerWidth - menu.offsetWidth - 8)}px`;
  menu.style.top = `${scrollY + bottom}px`;
  menu.querySelector("button").focus();
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    close();
    button.focus();
  });
}

function parse(text) {
  const value = Number(text.trim());
  return text.trim() && Number.isInteger(value) ? value : null;
}

export function outputPanel(app) {
  const bytes = (most = Infinity) => {
    const end = app.trace.outputBefore(app.stepNumber);
    return app.trace.output.slice(Math.max(0, end - most), end);
  };
  const results = () => app.trace.results.filter((r) => r.step < app.stepNumber).map((r) => signed(r.value, r.value >= 1n << 32n));
  const draw = () => {
    const written = bytes(LATEST);
    const text = new TextDecoder().decode(Uint8Array.from(written, (o) => o.byte));
    const found = results();
    return [text ? h("pre", { class: "output" }, text) : null, found.length ? h("p", {}, "result ", h("code", {}, found.join(", "))) : null, !text && !found.length ? h("p", { class: "dim" }, "Nothing yet.") : null];
  };
  return panel(app, "Output", draw, { json: () => ({ output: bytes().map((o) => [o.kind === KIND.STDOUT ? "stdout" : "stderr", o.byte]), results: results() }) });
}
