// 1. Softmax: the same scores, harder and softer.
import { h, number, replace } from "./dom.mjs";
import { exampleLookup, knob, later } from "./lesson.mjs";
import { bars } from "./plots.mjs";

export function softmaxChapter(app) {
  return h("div", {},
    h("p", {}, "A transformer reads ", h("b", {}, "tokens"), " one after the other and says the next one. A token is a word of its own small language: here D0.3 says “the lowest byte is 3”, and J.1 says “jump”. Each token has a position, counted from the beginning. That is all the model has: no variables, no memory beside the tokens."),
    h("p", {}, "Before it says the next token it looks back. Each of its ", h("b", {}, "heads"), " gives every earlier position a score, turns the scores into weights that sum to 1, and takes the weighted mean of what the positions have to say."),
    h("p", {}, "Scores become weights by ", h("b", {}, "softmax"), ": a weight is exp(score), divided by the sum of them all. Only differences count. If the best score leads by 1, it weighs 2.7 times as much as the next; by 10, 22,026 times; and exp(−746) is less than the smallest number that a computer's float64 can hold. ", h("b", {}, "It is 0.")),
    later(exampleLookup(app), (found) => example(app, found)),
    h("p", { class: "say" }, "A language model lives at the soft end: it blends. This model lives at the hard end: every score that must not count is at least 1,024 behind, so the weights are 1 and 0, without rounding. That is still softmax, the same formula as everywhere. It has become a memory that gives back what was put in, bit for bit."));
}

function example(app, found) {
  const { cloud, values } = found;
  const best = Math.max(...cloud.points.map((p) => p.score));
  const shown = cloud.points.filter((p, i) => i < 6 || p.position === 0).slice(0, 7);
  const byte = Math.max(0, values.indexOf("a.byte0"));
  const [box, result] = [h("div", {}), h("p", { "aria-live": "polite" })];
  const draw = (power) => {
    const temperature = 2 ** power;
    const weights = cloud.points.map((p) => Math.exp((p.score - best) / temperature));
    const total = weights.reduce((a, b) => a + b, 0);
    const mean = cloud.points.reduce((sum, p, i) => sum + (weights[i] / total) * p.value[byte], 0);
    replace(box, bars(shown.map((p) => {
      const weight = Math.exp((p.score - best) / temperature) / total;
      return { label: app.names.position(app.trace, p.position), value: weight, shown: `${number(p.score - best)} → ${weight > 0 && weight < 1e-4 ? weight.toExponential(1) : Number(weight.toFixed(4))}`, class: p.score === best ? "won" : "" };
    })));
    replace(result, "What the head hands on (the lowest byte of the operand): ", h("b", {}, String(Number(mean.toPrecision(12)))), mean === cloud.points[0].value[byte] ? ", exactly what was written." : ", a blend that means nothing.");
  };
  const slider = knob("temperature: scores are divided by it", { min: 0, max: 44, step: 0.5, value: 0 }, (v) => (v > 10 ? `2^${v}` : number(2 ** v)), draw);
  queueMicrotask(slider.update);
  return h("figure", {}, h("figcaption", {}, `Real scores: the head "operand a" as it reads ${found.slot} for step ${found.step} (${cloud.points.length} positions; the best of them, and what they weigh). Score behind the best → weight. Softer is to the right: nothing happens for a long way, then it blends.`), slider.element, box, result);
}
