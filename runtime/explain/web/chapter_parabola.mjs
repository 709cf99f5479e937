// 3. Why the nearest key wins: a parabola, its bits, digits, and the floor.
import { h, number, replace, s } from "./dom.mjs";
import { knob } from "./lesson.mjs";
import { bfloat16 } from "./rounding.mjs";

const KEYS = [1, 2, 4, 5, 7, 8, 11, 13];

export function parabolaChapter() {
  return h("div", {},
    h("p", {}, "How can a dot product, which only multiplies and adds, find the ", h("i", {}, "equal"), " address? Larger keys give larger products, so (a)·(b) = ab would always favour the largest one. The trick is to bend the keys: put the address on a ", h("b", {}, "parabola"), "."),
    h("p", {}, h("code", {}, "key = (2a, −a²)"), " and ", h("code", {}, "query = (b, 1)"), " give the score ", h("code", {}, "2ab − a² = b² − (a − b)²"), ". Whatever b is, the score is largest where a is nearest to b."),
    dragged(),
    h("p", {}, "Each key is a straight line in b. The winner is the line on top, and the lines on top make the edge of a convex shape, in order of a. (So the winner can be found by halving, in O(log n) steps instead of n. The page does that for long sequences; the formula stays what it is.)"),
    h("h3", {}, "Where the square eats the digits"),
    h("p", {}, "Numbers in a computer have a limited count of bits. The score of the right key is b², that of its neighbour b² − 1. If b² has more bits than a number holds, both are rounded to the same, and the lookup gives a blend."),
    bitsOfFormats(),
    h("p", {}, "So long addresses are written as ", h("b", {}, "digits"), ", each on a parabola of its own, all in one dot product: a ", h("b", {}, "paraboloid"), ". ", h("code", {}, "score = −|a − b|²"), ", summed over the digits. With digits of 8 bits no term is above 2^17, so 32-bit addresses leave room for what else the score has to say: that of two equal addresses the later one wins."),
    h("h3", {}, "Exact match, or nothing"),
    h("p", {}, "The nearest key wins, even when it is not the right one. So one token, the first of the sequence, is a ", h("b", {}, "floor"), ": its score is −½ whatever is asked, between an exact match (about 0) and the best mismatch (−1 or less). If nobody has the address, the floor wins, and its value is 0. Memory that was never written reads as 0, as WebAssembly wants it."),
    withFloor());
}

function dragged() {
  const drawing = s("svg", { viewBox: "0 0 720 300", role: "img", "aria-label": "Scores of eight keys as straight lines over the query", class: "plot" });
  const text = h("p", { "aria-live": "polite" });
  const [x, y] = [(b) => 40 + b * 46, (v) => 270 - (v / 200) * 240];
  const draw = (b) => {
    const score = (a) => 2 * a * b - a * a;
    const winner = KEYS.reduce((best, a) => (score(a) > score(best) ? a : best));
    const envelope = Array.from({ length: 57 }, (_, i) => i / 4).map((q) => `${x(q)},${y(Math.max(...KEYS.map((a) => 2 * a * q - a * a)))}`);
    replace(drawing,
      KEYS.map((a) => s("line", { x1: x(a / 2), y1: y(0), x2: x(14), y2: y(28 * a - a * a), class: a === winner ? "curve" : "mesh" })),
      s("polyline", { points: envelope.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 2 }),
      s("line", { x1: x(b), x2: x(b), y1: 20, y2: 270, class: "query" }),
      KEYS.map((a) => (score(a) >= 0 ? s("circle", { cx: x(b), cy: y(score(a)), r: a === winner ? 6 : 3.5, class: a === winner ? "key won" : "key" }, s("title", {}, `key ${a}: ${number(score(a))}`)) : "")),
      s("line", { x1: 40, x2: 700, y1: 270, y2: 270, class: "axis" }), s("text", { x: 700, y: 290, "text-anchor": "end", class: "label" }, "query b"), s("text", { x: 44, y: 16, class: "label" }, "score 2ab − a²"));
    replace(text, `b = ${number(b)}: key ${winner} wins with ${number(score(winner))}; `, `the next one has ${number(Math.max(...KEYS.filter((a) => a !== winner).map(score)))}.`);
  };
  const slider = knob("query b", { min: 0, max: 14, step: 0.1, value: 5.2 }, number, draw);
  slider.update();
  return h("figure", {}, h("figcaption", {}, `Keys at ${KEYS.join(", ")}. Drag the query.`), slider.element, drawing, text);
}

const FORMATS = [["bfloat16", bfloat16, 8], ["float32", Math.fround, 24], ["float64", (v) => v, 53]];

function bitsOfFormats() {
  const table = h("div", {});
  const draw = (power) => {
    const b = 2 ** power + 1;
    const rows = FORMATS.flatMap(([name, round, size]) => {
      const one = (a) => round(round(2 * a * b) - round(a * a));
      // Digits of 8 bits, centred: the address and its neighbour differ in the lowest one.
      const digit = (a) => {
        const [x, q] = [(a % 256) - 128, (b % 256) - 128];
        return round(round(2 * x * q) - round(x * x));
      };
      return [[name, size, "one number", one(b), one(b - 1)], [name, size, "digits of 8 bits", digit(b), digit(b - 1)]];
    });
    replace(table, h("div", { class: "scroll" }, h("table", { class: "compare" }, h("thead", {}, h("tr", {}, ["format", "bits", "address as", "score of the key", "of its neighbour", ""].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", {}, rows.map(([name, size, how, right, wrong]) => h("tr", { class: right > wrong ? "" : "other" }, h("td", {}, name), h("td", {}, size), h("td", {}, how), h("td", {}, number(right)), h("td", {}, number(wrong)), h("td", {}, right > wrong ? "told apart" : right === wrong ? "the same: lost" : "the wrong one wins")))))));
  };
  const slider = knob("address 2^k + 1", { min: 1, max: 31, step: 1, value: 13 }, (v) => `k = ${v}`, draw);
  slider.update();
  return h("figure", {}, h("figcaption", {}, "Scores as each format holds them; of digits only the lowest, in which the neighbour differs."), slider.element, table);
}

function withFloor() {
  const text = h("div", { "aria-live": "polite" });
  const draw = (b) => {
    const scores = [...KEYS.map((a) => [`key ${a}`, -((a - b) ** 2)]), ["floor (BOS)", -0.5]].sort((p, q) => q[1] - p[1]);
    replace(text, h("p", {}, h("b", {}, scores[0][0]), ` wins with ${number(scores[0][1])}, ahead of ${scores[1][0]} with ${number(scores[1][1])}. `, scores[0][0].startsWith("floor") ? `Nobody is at ${b}: the lookup gives 0.` : `The lookup gives what was written at ${b}.`));
  };
  const slider = knob("asked for", { min: 0, max: 14, step: 1, value: 6 }, (v) => `address ${v}`, draw);
  slider.update();
  return h("figure", {}, h("figcaption", {}, `Keys at ${KEYS.join(", ")}, and the floor.`), slider.element, text);
}
