// 4. The stack machine: instruction pointer as a running sum, slots, and writing as emitting.
import { h, replace } from "./dom.mjs";
import { signed } from "./names.mjs";
import { KIND } from "./trace.mjs";

export function machineChapter(app) {
  const view = h("div", {});
  const draw = () => app.trace?.count && replace(view, moment(app));
  app.on((what) => ["tokens", "cursor", "chapter", "tab", "run"].includes(what) && app.view.tab === "chapters" && draw());
  draw();
  const move = (text, act) => h("button", { onclick: act }, text);
  return h("div", {},
    h("p", {}, "A lookup is a memory. The program is a list of numbered steps; it stands at the beginning of the tokens, as text that the model can look up. Values live in numbered ", h("b", {}, "slots"), ", frame[0], frame[1] and so on. What else does a computer need? To know ", h("b", {}, "where it is"), ", to ", h("b", {}, "write"), ", and to ", h("b", {}, "calculate"), "."),
    h("p", {}, h("b", {}, "Where it is. "), "Every token says how far it moves on: most by 1, a jump by more, or back. The instruction pointer is the sum of all these since the call began. A head that looks at every position equally gives the ", h("i", {}, "mean"), "; one neuron multiplies it with the number of positions, and the mean becomes a sum. No counter is kept anywhere."),
    h("p", {}, h("b", {}, "Writing. "), "Nothing can be changed in a transformer's past. To write is to say a token: D0.8 says that the lowest byte of a value is 8, and completes it. Its position gets the address of the slot as its key. To overwrite is to say another one later: of equal addresses the latest wins."),
    h("p", {}, h("b", {}, "Calculating. "), "Neurons do that, and each is one formula: relu(gate) · up, where gate and up are sums of numbers that are already there, and relu(x) is x, or 0 where x is negative. A gate that is a flag of the instruction (1 or 0) lets a result through or not; the sum of two operands is one neuron's up."),
    h("figure", {}, h("p", {}, move("◀ step", () => app.selectStep(app.stepNumber - 1)), " ", move("‹ token", () => app.select(app.cursor - 1)), " ", move("token ›", () => app.select(app.cursor + 1)), " ", move("step ▶", () => app.selectStep(app.stepNumber + 1))), view));
}

function moment(app) {
  const { trace, names, cursor } = app;
  const rows = [];
  const call = [...trace.calls].reverse().find((c) => c.position <= cursor);
  if (!call) return h("p", { class: "dim" }, "decoding …");
  for (let p = Math.max(call.position, cursor - 7); p <= cursor; p++) {
    rows.push(row(app, p, trace.tokens[p], trace.ipAt[p - 1], trace.ipAt[p], trace.frameAt[p]));
  }
  const step = trace.step(app.stepNumber);
  return [h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["position", "token", "moves by", "instruction pointer", "frame", "what it writes"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows))),
    h("p", {}, `Step ${app.stepNumber}: `, h("b", {}, names.placeOf(step.index)), ", ", h("code", {}, names.step(step.index)), " → ", names.outcome(trace, app.stepNumber)), slots(app, step)];
}

function row(app, p, token, before, ip, frame) {
  const { trace, table, names } = app;
  const number = trace.stepOf(p);
  const step = number >= 0 ? trace.step(number) : null;
  const declared = step && app.data.program.steps[step.index];
  const writes = declared?.dest && step.last === p && table.kind[token] === KIND.DIGIT ? `${names.slot(declared.dest)} = ${signed(trace.value(step))}` : declared?.effect === "store" ? `a byte of memory at ${trace.keys[p - 1]}` : "";
  const delta = table.ip_delta[token];
  const entry = table.kind[token] === KIND.ENTRY;
  return h("tr", { class: p === app.cursor ? "reads" : "" }, h("td", {}, p), h("td", {}, h("code", {}, table.names[token])), h("td", {}, entry ? `to ${delta}` : `${delta > 0 ? "+" : ""}${delta}`), h("td", {}, entry ? `${ip}` : `${before} → ${ip}`), h("td", {}, frame), h("td", {}, writes));
}

function slots(app, step) {
  const held = [];
  for (let i = 0; i < 12; i++) {
    const found = app.trace.slot(["frame", i], step.frame, app.stepNumber);
    if (found) held.push(h("span", { class: "chip" }, h("code", {}, `frame[${i}]`), ` = ${signed(found.value)}, said at position ${app.trace.step(found.step).last}`));
  }
  return h("p", {}, held.length ? ["Before this step: ", held] : "No slot of this frame is written yet.");
}
