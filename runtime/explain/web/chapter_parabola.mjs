// 3. Why the nearest key wins: a parabola, its bits, digits, and the floor.
import { h, number, replace, s } from "./dom.mjs";
import { knob } from "./lesson.mjs";
import { bfloat16 } from "./rounding.mjs";

const KEYS = [1, 2, 4, 5, 7, 8, 11, 13];

export function parabolaChapter() {
  return h("div", {},
    h("p", {}, "How can a dot product, which only multiplies and adds, find the ", h("i", {}, "equal"), " address? Larger keys give larger products, so (a)·(b) = ab would always favour the largest one. The trick is to bend the keys: put the address on a ", h("b", {}, "parabola"), "."),
    h("p", {}, h("code", {}, "key = (2a, −a²)"), " and ", h("code", {}, "query = (b, 1)"), " give the score ", h("code", {}, "2ab − a² = b² − (a − b)²"), ". Whatever b is, the score is largest where a is nearest to b."),
    peaked(),
    h("p", {}, "The same scores, each key for itself: "),
    dragged(),
    h("p", {}, "Each key is a straight line in b. The winner is the line on top, and the lines on top make the edge of a convex shape, in order of a. (So the winner can be found by halving, in O(log n) steps instead of n. The page does that for long sequences; the formula stays what it is.)"),
    h("h3", {}, "Where the square eats the digits"),
    h("p", {}, "Numbers in a computer have a limited count of bits. The score of the right key is b², that of its neighbour b² − 1. If b² has more bits than a number holds, both are rounded to the same, and the lookup gives a blend."),
    bitsOfFormats(),
    h("p", {}, "So long addresses are written as ", h("b", {}, "digits"), ", each on a parabola of its own, all in one dot product: a ", h("b", {}, "paraboloid"), ". ", h("code", {}, "score = −|a − b|²"), ", summed over the digits. With digits of 8 bits no term is above 2^17, so 32-bit addresses leave room for what else the score has to say: that of two equal addresses the later one wins."),
    twoDigits(),
    h("h3", {}, "Exact match, or nothing"),
    h("p", {}, "The nearest key wins, even when it is not the right one. So one token, the first of the sequence, is a ", h("b", {}, "floor"), ": its score is −½ whatever is asked, between an exact match (about 0) and the best mismatch (−1 or less). If nobody has the address, the floor wins, and its value is 0. Memory that was never written reads as 0, as WebAssembly wants it."),
    withFloor());
}

/** The scores over the keys: a parabola that moves with the query, and its peak is at the query. */
function peaked() {
  const drawing = s("svg", { viewBox: "0 0 720 210", role: "img", "aria-label": "Scores of eight keys: a parabola with its peak at the query", class: "plot" });
  const text = h("p", { "aria-live": "polite" });
  const [x, y] = [(a) => 40 + a * 46, (behind) => 24 + Math.min(behind, 60) * 2.6];
  const draw = (b) => {
    const winner = KEYS.reduce((best, a) => (Math.abs(a - b) < Math.abs(best - b) ? a : best));
    const curve = Array.from({ length: 113 }, (_, i) => i / 8).filter((a) => (a - b) ** 2 <= 60).map((a) => `${x(a)},${y((a - b) ** 2)}`);
    replace(drawing,
      s("polyline", { points: curve.join(" "), class: "curve" }), s("line", { x1: x(b), x2: x(b), y1: 14, y2: 182, class: "query" }),
      KEYS.map((a) => (a - b) ** 2 <= 60 ? s("circle", { cx: x(a), cy: y((a - b) ** 2), r: a === winner ? 6 : 4, class: a === winner ? "key won" : "key" }, s("title", {}, `key ${a}: ${number((a - b) ** 2)} behind the peak`)) : ""),
      KEYS.map((a) => s("text", { x: x(a), y: 200, "text-anchor": "middle", class: "label" }, a)),
      s("line", { x1: 40, x2: 700, y1: 184, y2: 184, class: "axis" }), s("text", { x: 44, y: 12, class: "label" }, "score, b² left out: −(a − b)²"), s("text", { x: 712, y: 200, "text-anchor": "end", class: "label" }, "key a"));
    replace(text, `The query asks for ${number(b)}. Key ${winner} is nearest: ${winner === b ? "it is at the peak." : `${number((winner - b) ** 2)} below the peak, and every other key is further down.`}`);
  };
  const slider = knob("asked for: b", { min: 0, max: 14, step: 0.1, value: 5.2 }, number, draw);
  slider.update();
  return h("figure", {}, h("figcaption", {}, `Keys at ${KEYS.join(", ")}, seen from the query. Drag it: the parabola comes along.`), slider.element, drawing, text);
}

const PAIRS = [[1, 2], [1, 6], [3, 4], [4, 1], [5, 5], [6, 2], [6, 7], [2, 7]];

/** The paraboloid from above: keys of two digits, and rings of equal score around the query. */
function twoDigits() {
  const drawing = s("svg", { viewBox: "0 0 720 250", role: "img", "aria-label": "Eight keys of two digits from above, with rings of equal score around the query", class: "plot" });
  const text = h("p", { "aria-live": "polite" });
  const [x, y] = [(a) => 250 + a * 28, (a) => 232 - a * 28];
  const asked = [4, 4];
  const draw = () => {
    const [b0, b1] = asked;
    const behind = ([a0, a1]) => (a0 - b0) ** 2 + (a1 - b1) ** 2;
    const winner = PAIRS.reduce((best, key) => (behind(key) < behind(best) ? key : best));
    replace(drawing,
      [1, 2, 3, 4].map((r) => s("circle", { cx: x(b0), cy: y(b1), r: 28 * r, class: "mesh" }, s("title", {}, `${r * r} behind`))),
      s("line", { x1: x(b0) - 7, x2: x(b0) + 7, y1: y(b1), y2: y(b1), class: "query" }), s("line", { x1: x(b0), x2: x(b0), y1: y(b1) - 7, y2: y(b1) + 7, class: "query" }),
      PAIRS.map((key) => s("circle", { cx: x(key[0]), cy: y(key[1]), r: key === winner ? 6 : 4, class: key === winner ? "key won" : "key" }, s("title", {}, `key (${key}): ${behind(key)} behind`))),
      PAIRS.map((key) => s("text", { x: x(key[0]) + 8, y: y(key[1]) + 12, class: "label" }, `${key[0]},${key[1]}`)));
    replace(text, `Asked for (${b0}, ${b1}): ${behind(winner) ? `the nearest key is (${winner}), ${behind(winner)} below the peak: no exact match.` : `key (${winner}) is there, at the peak.`}`);
  };
  const sliders = [0, 1].map((i) => knob(i ? "second digit" : "first digit", { min: 0, max: 7, step: 1, value: 4 }, String, (v) => {
    asked[i] = v;
    draw();
  }));
  sliders.forEach((slider) => slider.update());
  return h("figure", {}, h("figcaption", {}, "A paraboloid from above: each ring is one height, the peak is where both digits are the ones asked for."), sliders.map((slider) => slider.element), drawing, text);
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
