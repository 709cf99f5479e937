// 5. All of it: token by token, what every part of the model contributes.
import { h, number, replace } from "./dom.mjs";
import { roleOf } from "./names.mjs";
import { tokenStrip } from "./explore.mjs";

export function wholeChapter(app) {
  const view = h("div", { "aria-live": "polite" });
  const draw = () => app.view.tab === "chapters" && app.detail && replace(view, story(app));
  app.on((what) => ["detail", "tab", "chapter"].includes(what) && draw());
  draw();
  return h("div", {},
    h("p", {}, "Here is the whole call. The tokens in italics are the question; all others came out of the matrices. Choose one (or use the buttons) and read, from the bottom layer to the top, how it came about."),
    h("p", { class: "dim" }, "What the tokens say: I.0 call of function 0 · D0.8 the lowest byte is 8 (D1: the next one, and so on) · W.1000 the value is 1000 · S0.8 a byte that is only noted · J.1 jump · N go on with the next step · H the call has ended · T a trap. Point at a token to read it in words."),
    h("figure", {}, h("p", {}, h("button", { onclick: () => app.select(app.cursor - 1) }, "‹ token"), " ", h("button", { onclick: () => app.select(app.cursor + 1) }, "token ›")), tokenStrip(app), view),
    h("h3", {}, "Why this is not a tool call"),
    h("p", {}, "A chatbot that adds by calling a calculator stops being a transformer for a moment: it writes a request, a program outside computes, and the answer is pasted into its text. Here nothing is outside. There is one kind of operation, matrix products with softmax and relu in between, and the same weights for every token. The page knows how to multiply a matrix by a vector, and which number is the largest; it does not know how to add, branch or call. If you spoil a weight under ", h("i", {}, "Break it"), ", the result is wrong, because there is nobody else who could know it."),
    h("p", {}, "What it costs: every step reads all of the past, and every step is a pass through all layers. What it shows: exact calculation is within reach of this architecture, without training and without tricks beside the weights."));
}

function story(app) {
  const { detail, trace, names, table, cursor } = app;
  const lookups = detail.layers.flatMap((y, layer) => y.heads.map((head) => ({ head, layer, name: names.heads(layer)[head.index][0], values: names.heads(layer)[head.index][1].split(", ") })));
  const by = (role) => lookups.filter((l) => roleOf(l.name) === role);
  const step = trace.step(app.stepNumber);
  const declared = app.data.program.steps[step.index] ?? {};
  const value = (slot) => valueNamed(app, slot);
  const lines = [];
  const say = (title, ...text) => lines.push(h("li", {}, h("b", {}, title), " ", text));
  const ip = value("ip.sum");
  say("Where am I?", `The mean of all moves, times the number of positions, says that tokens have moved by ${number(Math.round(ip ?? 0))} since the sequence began; since this call began that makes step ${step.index} of the program.`);
  const fetch = by("fetch")[0];
  if (fetch) say("What is to be done?", `The head "fetch" (layer ${fetch.layer}) asks for row ${step.index} and finds `, h("code", {}, names.position(trace, fetch.head.winner)), `, ${trace.prefixLength - fetch.head.winner} tokens before the end of the program's text.`);
  for (const l of by("operand")) {
    const letter = l.name.slice(8);
    if (declared[letter]) say(`Operand ${letter.toUpperCase()}:`, `${names.slot(declared[letter])}. ${names.found(trace, l.head, detail.position)}.`);
  }
  if (declared.space) for (const l of by("memory").slice(0, declared.access ?? 4)) say(`Memory ${l.name.slice(6)}:`, `${names.found(trace, l.head, detail.position)}.`);
  const fired = detail.layers.flatMap((y, layer) => y.neurons.filter((n) => n.value !== 0).map((n) => ({ layer, name: app.data.names.layers[layer].neurons[n.f], value: n.value })));
  const telling = fired.filter((n) => /^(word\.|raw\.|taken|control id|id|digit id|memory\.|bytewise)/.test(n.name));
  if (telling.length) say("Neurons:", telling.slice(0, 12).map((n) => h("span", { class: "chip", title: `layer ${n.layer}` }, `${n.name} ${number(n.value)}`)));
  const { logits } = detail;
  const given = app.forced[cursor];
  say("The next token:", h("code", { class: "token" }, table.names[logits.winner]), ` has the largest logit, ${number(logits.margin)} ahead of `, h("code", {}, table.names[logits.second]), ".", given ? " But the prompt gives this token; nobody asked." : ` It means: ${names.step(step.index)} → ${names.outcome(trace, app.stepNumber)}.`);
  return [h("p", {}, "Position ", h("code", {}, detail.position), " reads ", h("code", { class: "token" }, trace.nameOf(detail.position)), ` (computed in ${detail.ms.toFixed(1)} ms).`), h("ol", {}, lines)];
}

/** What a slot of that name holds at the end of the first layer that has it. */
function valueNamed(app, name) {
  for (const [layer, y] of app.detail.layers.entries()) {
    const slot = app.data.names.layers[layer].slots.indexOf(name);
    if (slot >= 0 && y.end[slot] !== 0) return y.end[slot];
  }
  return null;
}
