// Matrices as the page has them: rows of the numbers that are not 0.

const TYPES = {
  u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array, f8: Float64Array,
};

/** {type, data} in base64 -> a typed array. */
export function unpack(packed) {
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new TYPES[packed.type](bytes.buffer);
}

/** A matrix [rows, columns]: of row r the columns and values at starts[r] .. starts[r + 1] - 1. */
export class Matrix {
  constructor(rows, width, starts, columns, values) {
    Object.assign(this, { rows, width, starts, columns, values });
  }

  static of(packed) {
    const counts = unpack(packed.counts);
    const starts = new Int32Array(counts.length + 1);
    for (let r = 0; r < counts.length; r++) starts[r + 1] = starts[r] + counts[r];
    const values = Float64Array.from(unpack(packed.values));
    return new Matrix(packed.shape[0], packed.shape[1], starts, Int32Array.from(unpack(packed.columns)), values);
  }

  /** Row r times the vector x. */
  dot(r, x) {
    let sum = 0;
    for (let i = this.starts[r]; i < this.starts[r + 1]; i++) sum += this.values[i] * x[this.columns[i]];
    return sum;
  }

  isZero(r) {
    return this.starts[r] === this.starts[r + 1];
  }

  /** Row r as [[column, value], ...]. */
  row(r) {
    const found = [];
    for (let i = this.starts[r]; i < this.starts[r + 1]; i++) found.push([this.columns[i], this.values[i]]);
    return found;
  }

  get(r, c) {
    for (let i = this.starts[r]; i < this.starts[r + 1]; i++) if (this.columns[i] === c) return this.values[i];
    return 0;
  }

  transposed() {
    const starts = new Int32Array(this.width + 1);
    for (const c of this.columns) starts[c + 1]++;
    for (let c = 0; c < this.width; c++) starts[c + 1] += starts[c];
    const next = starts.slice();
    const columns = new Int32Array(this.columns.length);
    const values = new Float64Array(this.columns.length);
    for (let r = 0; r < this.rows; r++) {
      for (let i = this.starts[r]; i < this.starts[r + 1]; i++) {
        const at = next[this.columns[i]]++;
        columns[at] = r;
        values[at] = this.values[i];
      }
    }
    return new Matrix(this.width, this.rows, starts, columns, values);
  }

  /** The same matrix with one number changed. */
  with(r, c, value) {
    const rows = [];
    for (let k = 0; k < this.rows; k++) rows.push(this.row(k));
    rows[r] = [...rows[r].filter(([column]) => column !== c), ...(value ? [[c, value]] : [])].sort((a, b) => a[0] - b[0]);
    const starts = new Int32Array(this.rows + 1);
    rows.forEach((row, k) => (starts[k + 1] = starts[k] + row.length));
    const flat = rows.flat();
    return new Matrix(
      this.rows, this.width, starts, Int32Array.from(flat, (e) => e[0]), Float64Array.from(flat, (e) => e[1]),
    );
  }
}
