// What happened at one position, for the page: computed once more, and looked at on the way.

const CLOUD = 300;

/** {start, layers: [{heads, attended, neurons, end}], logits}: see below for each. */
export function inspected(decoder, position) {
  const layers = decoder.layers.map(() => ({ heads: [], neurons: [], attended: null, end: null }));
  const result = { position, layers, start: null, logits: null, ms: 0, products: 0 };
  const began = performance.now();
  decoder.observe(position, {
    start: (x) => (result.start = x.slice()),
    head: (head, q, seen, out) => layers[head.layer].heads.push(ofHead(head, q, seen, out, position)),
    attended: (layer, x) => (layers[layer].attended = x.slice()),
    neuron: (layer, f, gate, up, value) => layers[layer].neurons.push({ f, gate, up, value }),
    layer: (layer, x) => (layers[layer].end = x.slice()),
    end: (x, logits) => (result.logits = ofLogits(logits)),
  });
  result.ms = performance.now() - began;
  return result;
}

/** Query, where it looked, and what it adds. */
function ofHead(head, q, seen, out, position) {
  return {
    number: head.number, layer: head.layer, index: head.index, off: head.off,
    q, out: Array.from(out), winner: seen.winner, total: seen.total, attended: seen.positions?.length ?? position + 1,
    scoreRows: head.score, valueRows: head.value, highest: seen.best,
  };
}

function keyAt(cache, n) {
  return Array.from(cache.keys.subarray(n * cache.keyWidth, (n + 1) * cache.keyWidth));
}

/** Keys of one head for a drawing: query, and up to 300 of {position, key, score, value}, the best ones and others spread over the past. */
export function cloudOf(decoder, position, number) {
  const head = decoder.heads[number];
  let query = null;
  decoder.observe(position, { ...SILENT, head: (other, q) => (query = other === head ? Array.from(q) : query) });
  const scores = Float64Array.from({ length: position + 1 }, (_, n) => head.cache.score(query, n, null));
  const chosen = bestAndSpread(scores);
  return { query, points: chosen.map(([n, score]) => ({ position: n, score, key: keyAt(head.cache, n), value: Array.from(head.cache.valueAt(n)) })) };
}

/** [position, score]: the best ones, later ones first of equals; then every so many of all. */
function bestAndSpread(scores) {
  const least = scores.slice().sort()[Math.max(0, scores.length - CLOUD / 2)];
  const best = [];
  for (let n = scores.length - 1; n >= 0; n--) if (scores[n] > least) best.push([n, scores[n]]);
  for (let n = scores.length - 1; n >= 0 && best.length < CLOUD / 2; n--) if (scores[n] === least) best.push([n, scores[n]]);
  best.sort((a, b) => b[1] - a[1] || b[0] - a[0]);
  const have = new Set(best.map(([n]) => n));
  const every = Math.max(1, Math.floor(scores.length / (CLOUD / 2)));
  for (let n = 0; n < scores.length; n += every) if (!have.has(n)) best.push([n, scores[n]]);
  return best;
}

const SILENT = { start() {}, head() {}, attended() {}, neuron() {}, layer() {}, end() {} };

/** The winner, the runner-up, and the ids around the winner with their logits. */
function ofLogits(logits) {
  let winner = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[winner]) winner = id;
  let second = winner ? 0 : 1;
  for (let id = 0; id < logits.length; id++) if (id !== winner && logits[id] > logits[second]) second = id;
  const near = [];
  for (let id = Math.max(0, winner - 12); id <= Math.min(logits.length - 1, winner + 12); id++) near.push([id, logits[id]]);
  return { winner, second, margin: logits[winner] - logits[second], near };
}
