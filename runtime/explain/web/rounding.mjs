// Rounding to fewer bits than JavaScript's numbers have.

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** To bfloat16: the upper half of a float32, ties to even. */
export function bfloat16(x) {
  float[0] = x;
  if (!Number.isFinite(x)) return float[0];
  bits[0] = (bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) & 0xffff0000;
  return float[0];
}

/** Names of precisions -> rounding; null: numbers stay as they are. */
export const ROUNDINGS = { float64: null, float32: Math.fround, bfloat16 };
