// The forward pass of compiler/format/transformer.py in float64, with real softmax and a KV cache.
//
//   x_t    = embed[y_t] + n * positions[0] + n^2 * positions[1]                    n = t + 1
//   layer: x += concat_h softmax_causal(q_h . k_h) v_h @ o.T                       q, k, v = x @ {q,k,v}.T
//          x += (relu(x @ gate.T) * (x @ up.T)) @ down.T
//   logits = x @ unembed.T
//
// Nothing here knows what the program does. Products with a 0 in the matrix are left out; no other number is.
import { Matrix, unpack } from "./matrices.mjs";
import { Cache } from "./attention.mjs";
import { ROUNDINGS } from "./rounding.mjs";

const MATRICES = ["q", "k", "v", "o", "gate", "up", "down"];

/** The weights of the page's data as matrices. */
export function weightsOf(data) {
  return {
    width: data.width,
    headDim: data.head_dim,
    embed: Matrix.of(data.embed),
    positions: Matrix.of(data.positions),
    layers: data.layers.map((y) => Object.fromEntries(MATRICES.map((name) => [name, Matrix.of(y[name])]))),
    unembed: Matrix.of(data.unembed),
    prefix: Int32Array.from(unpack(data.prefix)),
    float32Reads: data.float32_reads,
    probes: data.probes,
  };
}

/**
 * Decodes one growing sequence.
 *
 * change: what is done otherwise than the weights say, to see what breaks: temperature (1), precision ("float64", "float32",
 * "bfloat16": everything that is computed is rounded to it), headsOff (names "layer.head" of heads that add nothing).
 * change.quick: false: every key of every head is looked at (see key_index.mjs).
 */
export class Decoder {
  constructor(weights, change = {}) {
    this.weights = weights;
    this.temperature = change.temperature ?? 1;
    this.round = ROUNDINGS[change.precision ?? "float64"];
    this.headsOff = change.headsOff ?? new Set();
    this.quick = (change.quick ?? true) && !this.round;
    this.layers = weights.layers.map((y, index) => this.prepared(y, index));
    this.heads = this.layers.flatMap((y) => y.heads);
    this.heads.forEach((head, number) => (head.number = number));
    this.length = 0;
    this.tokens = [];
    this.winners = new Int32Array(1024 * this.heads.length);
    this.probed = Object.fromEntries(Object.keys(weights.probes).map((name) => [name, []]));
    this.read = new Float64Array(weights.width);
    this.residual = null;
  }

  /** Heads with their caches. Components of which query or key is always 0 add nothing to a score, and are left out. */
  prepared(y, index) {
    const w = this.weights.headDim;
    const outputs = y.o.transposed();
    const heads = [];
    for (let h = 0; h * w < y.q.rows; h++) {
      const rows = Array.from({ length: w }, (_, i) => h * w + i);
      const score = rows.filter((r) => !y.q.isZero(r) && !y.k.isZero(r));
      const value = rows.filter((r) => !y.v.isZero(r) && !outputs.isZero(r));
      const off = this.headsOff.has(`${index}.${h}`);
      const cache = new Cache(score.length, value.length, this.quick);
      const twin = heads.findLast((other) => sameRows(y, other.score, score)) ?? null;
      heads.push({ layer: index, index: h, score, value, off, cache, twin });
    }
    return { ...y, heads, down: y.down.transposed(), mixed: new Float64Array(y.q.rows), neurons: y.gate.rows };
  }

  /** Reads a token. */
  append(token) {
    const x = (this.residual = this.forward(this.length, token, null));
    for (const [name, [, slot]] of Object.entries(this.weights.probes)) this.probed[name].push(x[slot]);
    this.tokens.push(token);
    this.length++;
  }

  /** The token that follows those read so far: the one with the largest logit, the first of equals. */
  next() {
    const logits = this.unembedded(this.residual);
    let best = 0;
    for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
    return best;
  }

  /** Computes a position that was read already once more, for an observer. */
  observe(position, observer) {
    this.forward(position, this.tokens[position], observer);
  }

  /** Forgets everything from this position on. */
  truncate(length) {
    this.length = length;
    this.tokens.length = length;
    for (const head of this.heads) head.cache.truncate(length);
    for (const values of Object.values(this.probed)) values.length = length;
  }

  /** observer: methods start(x), head(head, q, seen, out), attended(layer, x), neuron(layer, f, gate, up, value), layer(layer, x),
   * end(x, logits). */
  forward(position, token, observer) {
    const { embed, positions } = this.weights;
    const round = this.round;
    const x = new Float64Array(this.weights.width);
    const n = position + 1;
    for (let i = embed.starts[token]; i < embed.starts[token + 1]; i++) x[embed.columns[i]] = embed.values[i];
    for (let power = 0; power < positions.rows; power++) {
      for (const [slot, weight] of positions.row(power)) x[slot] += weight * (power ? n * n : n);
    }
    if (round) for (let s = 0; s < x.length; s++) x[s] = round(x[s]);
    observer?.start(x);
    for (const [index, y] of this.layers.entries()) {
      if (y.heads.length) this.attend(y, position, x, observer);
      observer?.attended(index, x);
      if (y.neurons) this.fire(index, y, x, observer);
      observer?.layer(index, x);
    }
    observer?.end(x, this.unembedded(x));
    return x;
  }

  unembedded(x) {
    const read = this.readOf(x);
    const logits = new Float64Array(this.weights.unembed.rows);
    for (let id = 0; id < logits.length; id++) logits[id] = rounded(this.round, this.weights.unembed.dot(id, read));
    return logits;
  }

  /** What a layer reads of the residual: some models round it to float32. */
  readOf(x) {
    if (!this.weights.float32Reads) return x;
    for (let s = 0; s < x.length; s++) this.read[s] = Math.fround(x[s]);
    return this.read;
  }

  attend(y, position, x, observer) {
    const round = this.round;
    const read = this.readOf(x);
    for (const head of y.heads) {
      const { cache, score, value } = head;
      if (position === cache.length) {
        cache.append(score.map((r) => rounded(round, y.k.dot(r, read))), value.map((r) => rounded(round, y.v.dot(r, read))), round);
      }
      const q = score.map((r) => rounded(round, y.q.dot(r, read) / this.temperature));
      const known = position < cache.length - 1 ? this.winner(position, head.number) : -1;
      head.seen = head.twin ? head.twin.seen : cache.attend(q, position, round, known);
      this.remember(position, head.number, head.seen.winner);
      const out = cache.gather(head.seen, round);
      if (head.off) out.fill(0);
      for (let j = 0; j < value.length; j++) y.mixed[value[j]] = out[j];
      observer?.head(head, q, head.seen, out);
    }
    for (let s = 0; s < x.length; s++) {
      if (!y.o.isZero(s)) x[s] = rounded(round, x[s] + y.o.dot(s, y.mixed));
    }
  }

  fire(index, y, x, observer) {
    const round = this.round;
    const read = this.readOf(x);
    const added = new Map();
    for (let f = 0; f < y.neurons; f++) {
      const gate = rounded(round, y.gate.dot(f, read));
      if (gate <= 0 && !observer) continue;
      const up = rounded(round, y.up.dot(f, read));
      const value = gate > 0 ? rounded(round, gate * up) : 0;
      observer?.neuron(index, f, gate, up, value);
      if (value === 0) continue;
      for (let i = y.down.starts[f]; i < y.down.starts[f + 1]; i++) {
        const slot = y.down.columns[i];
        added.set(slot, (added.get(slot) ?? 0) + y.down.values[i] * value);
      }
    }
    for (const [slot, amount] of added) x[slot] = rounded(round, x[slot] + amount);
  }

  /** Which position each head weighs most, for every position: "who reads this?" is a search in here. */
  remember(position, head, winner) {
    const at = position * this.heads.length + head;
    if (at >= this.winners.length) {
      const larger = new Int32Array(2 * this.winners.length + this.heads.length);
      larger.set(this.winners);
      this.winners = larger;
    }
    this.winners[at] = winner;
  }

  winner(position, head) {
    return this.winners[position * this.heads.length + head];
  }
}

/** Whether two heads of a layer have the same queries and keys: they see the same, and carry other values. */
function sameRows(y, rows, others) {
  const same = (m, r, s) => JSON.stringify(m.row(r)) === JSON.stringify(m.row(s));
  return rows.length > 0 && rows.length === others.length && rows.every((r, i) => same(y.q, r, others[i]) && same(y.k, r, others[i]));
}

function rounded(round, x) {
  return round ? round(x) : x;
}
