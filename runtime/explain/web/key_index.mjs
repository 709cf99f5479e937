// Which keys can count at all for a query. A key whose score is 746 below the best one weighs exp(-746) = 0 in float64; whole
// groups or blocks of keys are left out by a bound of their scores. What is left out would have added exactly 0.

// Up to here all keys are looked at.
export const SCAN = 256;
// Bounds are sums in another order than scores: so much is left for their rounding, besides the 746.
const MARGIN = 2048;
const BLOCK = 64;

// near(q, keys, last, known) of each index: positions up to `last` whose score may be within reach of the best one's, in order;
// null: look at all. known: the best score up to `last`; -Infinity: not known, and `last` is the newest position.

/** The index that suits these keys: a curve, where they are one; by equal keys where many are equal (addresses); else by blocks. */
export function makeIndex(keys, width, length) {
  if (width === 2) {
    const curve = new Curve();
    for (let n = 0; n < length && curve.holds; n++) curve.add(keys, n);
    if (curve.holds) return curve;
  }
  const varying = mostVarying(keys, width, length);
  const groups = new Groups(width, varying);
  for (let n = 0; n < length; n++) groups.add(keys, n);
  if (2 * groups.count <= length) return groups;
  const blocks = new Blocks(width);
  for (let n = 0; n < length; n++) blocks.add(keys, n);
  return blocks;
}

function mostVarying(keys, width, length) {
  let best = 0;
  let most = 0;
  for (let j = 0; j < width; j++) {
    const different = new Set();
    for (let n = 0; n < length; n++) different.add(keys[n * width + j]);
    if (different.size > most) [best, most] = [j, different.size];
  }
  return best;
}

/**
 * Keys (x, y) at evenly spaced x that bend downwards, such as (2n, -n^2): scores rise to one peak and fall, so the peak is found by
 * halving, and its neighbours beside it.
 */
class Curve {
  constructor() {
    Object.assign(this, { holds: true, length: 0 });
  }

  add(keys, n) {
    const at = 2 * n;
    if (n >= 2) {
      this.holds &&= keys[at] - keys[at - 2] === keys[2] - keys[0] && keys[2] > keys[0];
      this.holds &&= keys[at + 1] - keys[at - 1] < keys[at - 1] - keys[at - 3];
    }
    this.length = n + 1;
  }

  near(q, keys, last) {
    if (!this.holds || q[1] <= 0) return null;
    const score = (n) => q[0] * keys[2 * n] + q[1] * keys[2 * n + 1];
    let [low, high] = [0, last];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (score(middle + 1) >= score(middle)) low = middle + 1;
      else high = middle;
    }
    const least = score(low) - MARGIN;
    let [first, end] = [low, low];
    while (first > 0 && score(first - 1) >= least) first--;
    while (end < last && score(end + 1) >= least) end++;
    return Array.from({ length: end - first + 1 }, (_, i) => first + i);
  }
}

/**
 * Keys that differ in one component only, and there by less than 1, are a group (one address, where the component is what
 * prefers the latest); its members stand in order, with the largest of that component so far.
 */
class Groups {
  constructor(width, varying) {
    Object.assign(this, { width, varying, count: 0, numbers: new Map(), members: [], highest: [] });
    this.fixed = new Float64Array(64 * width);
    this.tops = new Float64Array(64);
  }

  add(keys, n) {
    const start = n * this.width;
    let name = "";
    for (let j = 0; j < this.width; j++) if (j !== this.varying) name += keys[start + j] + ",";
    const value = keys[start + this.varying];
    name += Math.floor(value);
    let group = this.numbers.get(name);
    if (group === undefined) group = this.opened(name, keys, start);
    if (!this.members[group].length || value > this.tops[group]) this.tops[group] = value;
    this.members[group].push(n);
    this.highest[group].push(this.tops[group]);
  }

  opened(name, keys, start) {
    const group = this.count++;
    this.numbers.set(name, group);
    this.members.push([]);
    this.highest.push([]);
    if (this.count > this.tops.length) {
      this.tops = copied(this.tops, 2 * this.tops.length);
      this.fixed = copied(this.fixed, 2 * this.fixed.length);
    }
    for (let j = 0; j < this.width; j++) this.fixed[group * this.width + j] = j === this.varying ? 0 : keys[start + j];
    return group;
  }

  near(q, keys, last, known) {
    const { width, varying, count, fixed, tops } = this;
    const slope = q[varying];
    if (!(slope >= 0)) return null;
    const bounds = new Float64Array(count);
    let best = known;
    for (let g = 0, at = 0; g < count; g++) {
      let sum = slope * tops[g];
      for (let j = 0; j < width; j++, at++) sum += q[j] * fixed[at];
      bounds[g] = sum;
      if (sum > best && known === -Infinity) best = sum;
    }
    const found = [];
    for (let g = 0; g < count; g++) {
      if (bounds[g] < best - MARGIN) continue;
      const members = this.members[g];
      const highest = this.highest[g];
      const base = bounds[g] - slope * tops[g];
      for (let i = members.length - 1; i >= 0 && base + slope * highest[i] >= best - MARGIN; i--) if (members[i] <= last) found.push(members[i]);
    }
    return found.sort((a, b) => a - b);
  }
}

/** Blocks of positions, with the least and the largest of every component. */
class Blocks {
  constructor(width) {
    Object.assign(this, { width, count: 0, length: 0 });
    this.low = new Float64Array(64 * width);
    this.high = new Float64Array(64 * width);
  }

  add(keys, n) {
    const { width } = this;
    const block = Math.floor(n / BLOCK);
    if (block === this.count) {
      this.count++;
      if (this.count * width > this.low.length) {
        this.low = copied(this.low, 2 * this.low.length);
        this.high = copied(this.high, 2 * this.high.length);
      }
      this.low.fill(Infinity, block * width, (block + 1) * width);
      this.high.fill(-Infinity, block * width, (block + 1) * width);
    }
    for (let j = 0; j < width; j++) {
      const [at, value] = [block * width + j, keys[n * width + j]];
      if (value < this.low[at]) this.low[at] = value;
      if (value > this.high[at]) this.high[at] = value;
    }
    this.length = n + 1;
  }

  near(q, keys, last, known) {
    const { width, count } = this;
    const bounds = new Float64Array(count);
    let first = 0;
    for (let b = 0, at = 0; b < count; b++) {
      for (let j = 0; j < width; j++, at++) bounds[b] += q[j] >= 0 ? q[j] * this.high[at] : q[j] * this.low[at];
      if (bounds[b] > bounds[first]) first = b;
    }
    let best = known;
    for (let n = first * BLOCK; known === -Infinity && n <= Math.min(last, (first + 1) * BLOCK - 1); n++) {
      let score = 0;
      for (let j = 0; j < width; j++) score += q[j] * keys[n * width + j];
      if (score > best) best = score;
    }
    const found = [];
    for (let b = 0; b < count; b++) {
      if (bounds[b] < best - MARGIN) continue;
      for (let n = b * BLOCK; n <= Math.min(last, (b + 1) * BLOCK - 1); n++) found.push(n);
    }
    return found;
  }
}

function copied(array, size) {
  const larger = new Float64Array(size);
  larger.set(array);
  return larger;
}
