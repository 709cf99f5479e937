// What the chapters share: a knob, and a lookup of this trace to look at.
import { h } from "./dom.mjs";

export function knob(label, properties, shown, change) {
  const output = h("output", {});
  const input = h("input", { type: "range", "aria-label": label, ...properties, oninput: () => update() });
  const update = () => {
    output.textContent = shown(Number(input.value));
    change(Number(input.value));
  };
  return { element: h("label", { class: "knob" }, h("span", {}, label), input, output), input, update };
}

/** The first lookup of an operand that is a slot of the frame: {position, head, lookup, slot}, and its keys. Waits for the trace. */
export async function exampleLookup(app) {
  await decodedSome(app);
  const { names, trace } = app;
  let number = 0;
  let chosen = null;
  for (const [layer, y] of app.data.names.layers.entries()) {
    y.heads.forEach((name, index) => {
      if (name.startsWith("operand a ")) chosen ??= { number: number + index, layer, index, values: name.split(" -> ")[1].split(", ") };
    });
    number += y.heads.length;
  }
  if (!chosen) return null;
  let step = -1;
  for (let n = 0; n < trace.count && step < 0; n++) {
    const declared = app.data.program.steps[trace.step(n).index];
    if (declared?.a?.[0] === "frame" && names.functionAt(trace.step(n).index)) step = n;
  }
  if (step < 0) return null;
  const position = trace.step(step).first - 1;
  const cloud = await app.client.ask({ type: "cloud", position, head: chosen.number });
  const declared = app.data.program.steps[trace.step(step).index];
  const slot = names.slot(declared.a);
  return { ...chosen, position, step, slot, cloud, frame: trace.step(step).frame, wanted: trace.slotName(declared.a, trace.step(step).frame) };
}

function decodedSome(app) {
  const ready = () => app.ended || app.trace?.count > 40;
  if (ready()) return Promise.resolve();
  return new Promise((resolve) => {
    const off = app.on(() => {
      if (!ready()) return;
      off();
      resolve();
    });
  });
}

/** Content that comes later; says so where the trace has nothing to show. */
export function later(promise, draw) {
  const box = h("div", { "aria-busy": "true" }, h("p", { class: "dim" }, "decoding …"));
  promise.then((found) => {
    box.setAttribute("aria-busy", "false");
    box.replaceChildren(found ? draw(found) : h("p", { class: "dim" }, "This program never reads a slot of a frame: no example here."));
  });
  return box;
}
