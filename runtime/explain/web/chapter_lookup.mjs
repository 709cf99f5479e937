// 2. Attention as a lookup: query, keys, dot products, value; and beside it what a language model does.
import { h, number, replace } from "./dom.mjs";
import { signed } from "./names.mjs";
import { exampleLookup, later } from "./lesson.mjs";
import { bars } from "./plots.mjs";

// Drawn by hand, and said to be.
const SENTENCE = [["The", 0.03], ["cat", 0.41], ["sat", 0.06], ["because", 0.07], ["the", 0.05], ["mat", 0.27], ["was", 0.05], ["warm", 0.06]];

export function lookupChapter(app) {
  return h("div", {},
    h("p", {}, "Where do scores come from? Each position puts down a ", h("b", {}, "key"), ", a few numbers; whoever looks back brings a ", h("b", {}, "query"), ", as many numbers. The score is their dot product: multiply them pair by pair, and add. And each position holds a ", h("b", {}, "value"), ", which is what a winner hands on."),
    h("p", {}, "Nobody has to train that. If the key says ", h("i", {}, "“I am what address 7 holds”"), " and the query asks ", h("i", {}, "“what does address 7 hold?”"), ", attention is a dictionary. All scores have one large factor in common, called K; it is what makes softmax hard, as in chapter 1: a lead of 1 becomes a lead of K. Choose an address:"),
    later(exampleLookup(app), (found) => lookups(app, found)),
    h("figure", {}, h("figcaption", {}, "For comparison, the soft attention of a language model: what might “it” look at, behind “The cat sat because the mat was warm”? These weights are drawn by hand to show the shape; they are of no model."),
      bars(SENTENCE.map(([word, weight]) => ({ label: word, value: weight, shown: weight.toFixed(2) })))),
    h("p", { class: "say" }, "The mechanism is the same: query, key, value, softmax. A language model's keys are learned, thousands of numbers wide, and every weight is a shade of grey. Here they are addresses, and one weight is 1."));
}

function lookups(app, found) {
  const { cloud } = found;
  const digits = cloud.query.length - 2;
  const scale = cloud.query[digits];
  const moment = -cloud.query[digits + 1] / scale - cloud.query.slice(0, digits).reduce((sum, q) => sum + (q / scale) ** 2, 0);
  const keys = new Map();
  for (const p of cloud.points) {
    const holder = p.key[digits + 1] !== 0 && p.key[digits] > -p.key.slice(0, digits).reduce((sum, k) => sum + (k / 2) ** 2, 0) - 0.5;
    const name = p.key.slice(0, digits).join(" ");
    if (holder && !keys.has(name)) keys.set(name, p);
  }
  const addresses = [...keys.values()].sort((a, b) => a.key[0] - b.key[0]).slice(0, 16);
  const centre = 2048;
  const addressOf = (key) => key[0] / 2 + centre;
  const box = h("div", { "aria-live": "polite" });
  const choose = (key, title) => {
    const b = key.slice(0, digits).map((k) => k / 2);
    const query = [...b.map((x) => scale * x), scale, -scale * (b.reduce((sum, x) => sum + x * x, 0) + moment)];
    const scored = cloud.points.map((p) => ({ ...p, score: query.reduce((sum, q, j) => sum + q * p.key[j], 0) })).sort((x, y) => y.score - x.score || y.position - x.position);
    const winner = scored[0];
    const text = (row) => row.map((x) => number(x)).join(", ");
    replace(box,
      h("p", {}, h("b", {}, title), " · query / K = (", h("code", {}, text(query.map((q) => q / scale))), ")"),
      h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["position", "key", "query · key / K", "weight", "value"].map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", {}, scored.slice(0, 6).map((p) => h("tr", { class: p === winner ? "reads" : "" }, h("td", {}, app.names.position(app.trace, p.position)), h("td", {}, h("code", {}, `(${text(p.key)})`)), h("td", {}, number(p.score / scale)), h("td", {}, p.score === winner.score ? "1" : String(Math.exp(p.score - winner.score))), h("td", {}, number(valueOf(p, found)))))))),
      h("p", {}, "Out comes ", h("b", {}, signed(BigInt(Math.round(valueOf(winner, found))))), winner.position === 0 ? ": nothing has this address, so the floor wins, and its value is 0." : `: ${app.names.position(app.trace, winner.position)}.`));
  };
  const missing = addresses.length ? [addresses[addresses.length - 1].key[0] + 14, ...addresses[0].key.slice(1)] : null;
  queueMicrotask(() => choose(cloud.points[0].key, `${found.slot}, the address that step ${found.step} asks for`));
  return h("figure", {}, h("figcaption", {}, `The real keys of the head "operand a" at position ${found.position}. Slots of the machine have addresses from 0 on; a key holds its distance from ${centre.toLocaleString("en-US")}.`),
    h("p", {}, addresses.map((p) => h("button", { class: "quiet", onclick: () => choose(p.key, `address ${addressOf(p.key)}`) }, `address ${addressOf(p.key)}`)), missing ? h("button", { class: "quiet", onclick: () => choose(missing, `address ${addressOf(missing)}, where nothing is`) }, "one that nobody wrote") : null), box);
}

/** The operand as a number: its bytes are the first values of the head. */
function valueOf(point, found) {
  return found.values.reduce((sum, name, i) => (name.startsWith("a.byte") ? sum + (point.value[i] ?? 0) * 256 ** Number(name.slice(6)) : sum), 0);
}
