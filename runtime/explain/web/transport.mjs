// The call, and going through it forwards and backwards.
import { h, replace } from "./dom.mjs";

/** The form for function and arguments. */
export function callForm(app) {
  const error = h("output", { class: "error", role: "alert" });
  const inputs = h("span", { class: "arguments" });
  const choice = h("select", { "aria-label": "Function to call", onchange: () => fill([]) }, app.entries.map((e) => h("option", { value: e.name }, e.name)));
  const stdin = app.data.world.areas.stdin === undefined ? null : h("textarea", { rows: 2, "aria-label": "Standard input of the program", placeholder: "standard input (as recorded)" });
  const fill = (texts) => {
    const entry = app.entries.find((e) => e.name === choice.value);
    replace(inputs, entry.params.map((type, i) => h("label", {}, h("span", { class: "type" }, type), h("input", { value: texts[i] ?? "0", size: 8, spellcheck: "false", "aria-label": `argument ${i + 1}, ${type}` }))));
  };
  const submit = (event) => {
    event?.preventDefault();
    const texts = [...inputs.querySelectorAll("input")].map((input) => input.value);
    try {
      const typed = stdin?.value ? new TextEncoder().encode(stdin.value) : null;
      app.runCalls([{ name: choice.value, texts }], null, typed);
      replace(error);
    } catch (problem) {
      replace(error, problem.message);
    }
  };
  const first = app.recorded.find((run) => run.kind === "call");
  const many = app.recorded.filter((run) => run.kind === "call").length > 1;
  const again = h("button", { type: "button", class: "quiet", onclick: () => app.runRecorded() }, many ? "the recorded calls" : "as recorded");
  const form = h("form", { class: "call", onsubmit: submit, "aria-label": "The call" }, choice, "(", inputs, ")", stdin, h("button", { type: "submit", class: "primary" }, "Decode"), again, error);
  const show = () => {
    const call = (app.calls ?? []).find((c) => c.kind === "call") ?? first;
    if (!call || !app.entries.length) return;
    choice.value = call.name;
    fill(call.texts ?? call.arguments);
  };
  app.on((what) => what === "run" && show());
  show();
  return form;
}

/** Buttons, slider, keys. */
export function transport(app) {
  const where = h("output", { class: "where", "aria-live": "polite" });
  const slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Step", oninput: () => app.selectStep(Number(slider.value)) });
  let playing = null;
  const play = button("▶ Run", "Run: one step after the other (space)", () => (playing ? stop() : start()));
  const stop = () => {
    clearInterval(playing);
    playing = null;
    play.textContent = "▶ Run";
  };
  const start = () => {
    play.textContent = "❙❙ Pause";
    playing = setInterval(() => {
      const before = app.cursor;
      app.select(app.cursor + 1);
      if (app.cursor === before || (app.breakpoints.length && app.breaksAt(app.stepNumber) && app.cursor === app.trace.step(app.stepNumber).first)) stop();
    }, 350);
  };
  const toBreak = (direction) => {
    const found = app.nextBreak(app.stepNumber, direction);
    app.selectStep(found >= 0 ? found : direction > 0 ? app.trace.count - 1 : 0);
  };
  const bar = h("div", { class: "transport", role: "toolbar", "aria-label": "Steps and tokens" },
    button("|◀", "First step (Home)", () => app.selectStep(0)),
    button("◀◀", "Back to the breakpoint before, or the start", () => toBreak(-1)),
    button("◀ step", "One step back (↑)", () => app.selectStep(app.stepNumber - 1)),
    button("‹ token", "One token back (←)", () => app.select(app.cursor - 1)),
    button("token ›", "One token on (→)", () => app.select(app.cursor + 1)),
    button("step ▶", "One step on (↓)", () => app.selectStep(app.stepNumber + 1)),
    button("▶▶", "On to the next breakpoint, or the end", () => toBreak(1)),
    button("▶|", "Last step (End)", () => app.selectStep(app.trace.count - 1)),
    play, slider, where);
  app.on(() => {
    slider.max = Math.max(0, app.trace.count - 1);
    slider.value = app.stepNumber;
    const n = app.stepNumber;
    const step = app.trace.step(n);
    const of = step ? `, token ${app.cursor - step.first + 1} of ${step.last - step.first + 1}` : "";
    replace(where, `step ${n.toLocaleString("en-US")} of ${Math.max(0, app.trace.count - 1).toLocaleString("en-US")}${of}`);
  });
  keys(app, play);
  return bar;
}

function button(label, title, onclick) {
  return h("button", { type: "button", title, "aria-label": title, onclick }, label);
}

function keys(app, play) {
  const actions = {
    ArrowLeft: () => app.select(app.cursor - 1), ArrowRight: () => app.select(app.cursor + 1),
    ArrowUp: () => app.selectStep(app.stepNumber - 1), ArrowDown: () => app.selectStep(app.stepNumber + 1),
    Home: () => app.selectStep(0), End: () => app.selectStep(app.trace.count - 1), " ": () => play.click(),
  };
  document.addEventListener("keydown", (event) => {
    const tag = event.target.tagName;
    const pressing = event.key === " " && /^(BUTTON|SUMMARY|A)$/.test(tag);
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(tag) || pressing || event.target.closest?.("[tabindex]");
    if (event.ctrlKey || event.metaKey || event.altKey || app.view.tab !== "explore") return;
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(event.target.tagName)) {
      event.preventDefault();
      document.getElementById("search")?.focus();
    } else if (!typing && actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    }
  });
}
