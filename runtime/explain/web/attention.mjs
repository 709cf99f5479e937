// Keys and values of one head, and softmax over them.
import { makeIndex, SCAN } from "./key_index.mjs";

// exp of less is 0 in float64: such a weight adds nothing, exactly.
const UNDERFLOW = -746;

/**
 * keyWidth: components that scores are made of; 0: the head attends to all positions equally, and running sums are kept
 * instead of values. quick: keys that cannot count are not looked at, see key_index.mjs.
 */
export class Cache {
  constructor(keyWidth, valueWidth, quick) {
    // The index is chosen anew when there are four times as many keys.
    Object.assign(this, { keyWidth, valueWidth, quick, length: 0, index: null, choice: SCAN });
    this.keys = new Float64Array(64 * keyWidth);
    this.values = new Float64Array(64 * valueWidth);
  }

  append(key, value, round) {
    this.keys = grown(this.keys, (this.length + 1) * this.keyWidth);
    this.values = grown(this.values, (this.length + 1) * this.valueWidth);
    this.keys.set(key, this.length * this.keyWidth);
    const at = this.length * this.valueWidth;
    for (let j = 0; j < this.valueWidth; j++) {
      const before = this.keyWidth || !this.length ? 0 : this.values[at - this.valueWidth + j];
      this.values[at + j] = round ? round(before + value[j]) : before + value[j];
    }
    this.length++;
    if (!this.quick || !this.keyWidth) return;
    if (this.length === this.choice) {
      this.index = makeIndex(this.keys, this.keyWidth, this.length);
      this.choice *= 4;
    } else this.index?.add(this.keys, this.length - 1);
  }

  truncate(length) {
    if (length >= this.length) return;
    Object.assign(this, { length, index: null });
    this.choice = Math.max(SCAN, length + 1);
  }

  /** Softmax of q . k over positions 0 .. last: those whose weight is not 0, and their weights: {positions, weights, total,
   * winner, best}. winner: -1 where all weigh the same (positions and weights are left out then). known: the position that weighs
   * most, where it was found before (-1: it was not); then the index serves for positions that are not the newest too. */
  attend(q, last, round, known = -1) {
    if (!this.keyWidth) return { winner: -1, best: 0, total: last + 1, last };
    const newest = last === this.length - 1;
    const near = this.index && (newest || known >= 0) ? this.index.near(q, this.keys, last, newest ? -Infinity : this.score(q, known, null)) : null;
    const count = near ? near.length : last + 1;
    const scores = new Float64Array(count);
    let at = 0;
    for (let i = 0; i < count; i++) {
      scores[i] = this.score(q, near ? near[i] : i, round);
      if (scores[i] >= scores[at]) at = i;
    }
    return this.weighed(near, scores, at);
  }

  score(q, n, round) {
    const { keys, keyWidth } = this;
    let sum = 0;
    for (let j = 0, at = n * keyWidth; j < keyWidth; j++, at++) sum += q[j] * keys[at];
    return round ? round(sum) : sum;
  }

  weighed(near, scores, at) {
    const best = scores[at];
    const positions = [];
    const weights = [];
    let total = 0;
    for (let i = 0; i < scores.length; i++) {
      const difference = scores[i] - best;
      if (difference < UNDERFLOW) continue;
      positions.push(near ? near[i] : i);
      weights.push(Math.exp(difference));
      total += weights[weights.length - 1];
    }
    return { winner: near ? near[at] : at, best, positions, weights, total };
  }

  /** The values, weighed. */
  gather(seen, round) {
    const { values, valueWidth } = this;
    const out = new Float64Array(valueWidth);
    if (seen.winner < 0) {
      for (let j = 0; j < valueWidth; j++) out[j] = values[seen.last * valueWidth + j];
    } else {
      for (let i = 0; i < seen.positions.length; i++) {
        const start = seen.positions[i] * valueWidth;
        for (let j = 0; j < valueWidth; j++) out[j] += seen.weights[i] * values[start + j];
      }
    }
    for (let j = 0; j < valueWidth; j++) out[j] = round ? round(out[j] / seen.total) : out[j] / seen.total;
    return out;
  }

  /** The value at a position, as it went into the cache. */
  valueAt(n) {
    const at = n * this.valueWidth;
    const value = this.values.slice(at, at + this.valueWidth);
    if (!this.keyWidth && n) for (let j = 0; j < this.valueWidth; j++) value[j] -= this.values[at - this.valueWidth + j];
    return value;
  }
}

function grown(array, size) {
  if (size <= array.length) return array;
  const larger = new Float64Array(Math.max(2 * array.length, size));
  larger.set(array);
  return larger;
}
