// From what a visitor types to the tokens of a call, as runtime/instance.py makes them.

const WIDTHS = { i32: 32n, i64: 64n, f32: 32n, f64: 64n, "v128.low": 64n, "v128.high": 64n, funcref: 32n, externref: 32n };

/** An argument as text -> its bit pattern, a BigInt. Throws an Error that says what is wrong. */
export function bitsOf(type, text, references = {}) {
  const clean = text.trim();
  if (type === "f32" || type === "f64") return floatBits(type, clean);
  if (type.endsWith("ref") && clean === "null") return 0n;
  if (!/^[+-]?(0x[0-9a-f]+|\d+)$/i.test(clean)) throw new Error(`${text || "nothing"}: an integer is wanted (${type})`);
  const negative = clean.startsWith("-");
  const size = BigInt(clean.replace(/^[+-]/, ""));
  const value = negative ? -size : size;
  if (type === "externref") return value + 1n;
  if (type === "funcref") {
    if (!(clean in references)) throw new Error(`${text}: no function that has a reference`);
    return BigInt(references[clean]);
  }
  const width = WIDTHS[type];
  if (value < -(1n << (width - 1n)) || value >= 1n << width) throw new Error(`${text} does not fit into ${type}`);
  return BigInt.asUintN(Number(width), value);
}

function floatBits(type, text) {
  const value = Number(/^[+-]?inf$/i.test(text) ? text.replace(/inf/i, "Infinity") : text);
  if (text === "" || (Number.isNaN(value) && !/^nan$/i.test(text))) throw new Error(`${text || "nothing"}: a number is wanted (${type})`);
  const view = new DataView(new ArrayBuffer(8));
  if (type === "f64") {
    view.setFloat64(0, value);
    return view.getBigUint64(0);
  }
  view.setFloat32(0, value);
  return BigInt(view.getUint32(0));
}

/** A bit pattern as people read it. */
export function shown(type, bits) {
  const view = new DataView(new ArrayBuffer(8));
  if (type === "f64") {
    view.setBigUint64(0, bits);
    return String(view.getFloat64(0));
  }
  if (type === "f32") {
    view.setUint32(0, Number(bits));
    return String(Number(view.getFloat32(0).toPrecision(8)));
  }
  if (type.endsWith("ref")) return bits === 0n ? "null" : String(bits - 1n);
  return BigInt.asIntN(Number(WIDTHS[type] ?? 32n), bits).toString();
}

/** Digits of a value, the most significant first; no zeros in front. */
export function digitsOf(value, ids) {
  const tokens = [];
  let top = 0;
  while (value >> BigInt(8 * (top + 1))) top++;
  for (let place = top; place >= 0; place--) tokens.push(ids.get(`D${place}.${Number((value >> BigInt(8 * place)) & 255n)}`));
  return tokens;
}

/** The prompt of a call: input bytes, the entry's token, digits of hidden registers and of the arguments. */
export function promptOf(data, ids, entry, bits, stdin = null) {
  const prompt = [];
  const registers = { ...data.world.registers };
  for (const [area, text] of Object.entries(data.world.areas)) {
    if (!entry.inputs.includes(area)) continue;
    const bytes = area === "stdin" && stdin ? stdin : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    if (area === "stdin") registers.stdin_length = String(bytes.length);
    prompt.push(ids.get(`G.${data.program.inputs[area]}`), ...Array.from(bytes, (b) => ids.get(`B.${b}`)));
  }
  prompt.push(ids.get(`I.${entry.number}`));
  for (const value of [...entry.registers.map((r) => BigInt(registers[r] ?? "0")), ...bits]) prompt.push(...digitsOf(value, ids));
  return prompt;
}
