// What happened at one position, for the page: computed once more, and looked at on the way.

const BEST = 6;
const CLOUD = 300;

/** {start, layers: [{heads, attended, neurons, end}], logits}: see below for each. */
export function inspected(decoder, position) {
  const layers = decoder.layers.map(() => ({ heads: [], neurons: [], attended: null, end: null }));
  const result = { position, layers, start: null, logits: null, ms: 0, products: 0 };
  const began = performance.now();
  decoder.observe(position, {
    start: (x) => (result.start = x.slice()),
    head: (head, q, seen, out) => layers[head.layer].heads.push(ofHead(decoder, head, q, seen, out, position)),
    attended: (layer, x) => (layers[layer].attended = x.slice()),
    neuron: (layer, f, gate, up, value) => layers[layer].neurons.push({ f, gate, up, value }),
    layer: (layer, x) => (layers[layer].end = x.slice()),
    end: (x, logits) => (result.logits = ofLogits(logits)),
  });
  result.ms = performance.now() - began;
  return result;
}

/** Query, where it looked, and the best keys: {position, score, weight, key, value}. */
function ofHead(decoder, head, q, seen, out, position) {
  const { cache } = head;
  const best = seen.winner < 0 ? [] : bestKeys(cache, q, position);
  return {
    number: head.number, layer: head.layer, index: head.index, off: head.off,
    q, out: Array.from(out), winner: seen.winner, total: seen.total, attended: seen.positions?.length ?? position + 1,
    scoreRows: head.score, valueRows: head.value,
    best: best.map(([n, score]) => ({
      position: n, score, weight: Math.exp(score - seen.best) / seen.total,
      key: keyAt(cache, n), value: Array.from(cache.valueAt(n)),
    })),
  };
}

function keyAt(cache, n) {
  return Array.from(cache.keys.subarray(n * cache.keyWidth, (n + 1) * cache.keyWidth));
}

function bestKeys(cache, q, last) {
  const best = [];
  for (let n = 0; n <= last; n++) {
    const score = cache.score(q, n, null);
    if (best.length === BEST && score < best[BEST - 1][1]) continue;
    let at = best.length;
    while (at > 0 && best[at - 1][1] <= score) at--;
    best.splice(at, 0, [n, score]);
    if (best.length > BEST) best.pop();
  }
  return best;
}

/** Keys of one head for a drawing: query, and up to 300 of {position, key, score, value}, the best ones and others spread over the past. */
export function cloudOf(decoder, position, number) {
  const head = decoder.heads[number];
  let query = null;
  decoder.observe(position, { ...SILENT, head: (other, q) => (query = other === head ? Array.from(q) : query) });
  const scored = [];
  for (let n = 0; n <= position; n++) scored.push([n, head.cache.score(query, n, null)]);
  scored.sort((a, b) => b[1] - a[1] || b[0] - a[0]);
  const chosen = scored.slice(0, CLOUD / 2);
  const rest = scored.slice(CLOUD / 2);
  for (let i = 0; i < rest.length; i += Math.max(1, Math.floor(rest.length / (CLOUD / 2)))) chosen.push(rest[i]);
  return { query, points: chosen.map(([n, score]) => ({ position: n, score, key: keyAt(head.cache, n), value: Array.from(head.cache.valueAt(n)) })) };
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
