// What things are called: steps, slots, positions, heads, linear forms.
import { number } from "./dom.mjs";
import { unpack } from "./matrices.mjs";
import { KIND } from "./trace.mjs";

/** Names over the page's data. */
export class Names {
  constructor(data, table) {
    Object.assign(this, { data, table, program: data.program });
    this.rows = unpack(data.program.rows);
    this.functions = [...data.program.functions].sort((a, b) => a.entry - b.entry);
    this.listings = new Map(data.source.functions.map((f) => [f.index, f]));
    this.lines = new Map(data.source.functions.map((f) => [f.index, new Map(f.lines.map((line) => [line[0], line]))]));
  }

  functionAt(index) {
    return this.functions.find((f) => f.entry <= index && index < f.end) ?? null;
  }

  entryAt(index) {
    const before = this.program.entries.filter((e) => e.first <= index);
    return before.reduce((best, e) => (!best || e.first > best.first ? e : best), null);
  }

  /** Where a step belongs: "gcd", or "entry of gcd". */
  placeOf(index) {
    const f = this.functionAt(index);
    return f ? f.name : `entry of ${this.entryAt(index)?.name || "the start function"}`;
  }

  /** The WASM instruction that a step stands for: {function, instruction, offset, text}, or null. */
  instructionOf(index) {
    const site = this.program.steps[index]?.site;
    const line = site && this.lines.get(site[0])?.get(site[1]);
    return line ? { function: site[0], instruction: line[0], offset: line[1], text: line[3], file: line[4], line: line[5] } : null;
  }

  slot([kind, index], short = false) {
    if (kind === "const") return index;
    if (kind === "hidden") return index;
    return short ? `${kind[0]}${index}` : `${kind}[${index}]`;
  }

  step(index) {
    const step = this.program.steps[index];
    if (!step) return "no step";
    const operands = [step.a, step.b, step.c, step.d].filter(Boolean).map((o) => this.slot(o));
    if (step.trap) operands.push(step.trap);
    if (step.callee !== undefined) operands.push(this.program.functions.find((f) => f.index === step.callee)?.name ?? step.callee);
    if (step.imm && step.control !== "call") operands.push(`offset ${step.imm}`);
    const target = step.target === undefined ? "" : ` → step ${step.target}`;
    return `${step.dest ? `${this.slot(step.dest)} = ` : ""}${step.op} ${operands.join(", ")}${target}`.trim();
  }

  /** What a slot of a frame is to the function: "param 0", "local 2", "stack 1". */
  role(f, index) {
    if (!f) return `slot ${index}`;
    const listing = this.listings.get(f.index);
    const params = (listing ?? f)?.params.length ?? 0;
    const locals = listing?.locals.length ?? 0;
    if (index < params) return `param ${index}`;
    if (index < params + locals) return `local ${index}`;
    return this.data.source.whole ? `stack ${index - params - locals}` : `slot ${index}`;
  }

  /** How a step ended. */
  outcome(trace, number) {
    const step = trace.step(number);
    const token = trace.tokens[step.last];
    const value = trace.value(step);
    switch (this.table.kind[token]) {
      case KIND.DIGIT:
        return signed(value, this.program.steps[step.index]?.wide);
      case KIND.JUMP:
        return number + 1 < trace.count ? `to step ${trace.step(number + 1).index}` : "jump";
      case KIND.STDOUT:
      case KIND.STDERR:
        return `byte ${value} ${JSON.stringify(String.fromCharCode(Number(value)))}`;
      case KIND.TRAP:
        return `trap: ${this.table.traps[Number(value)].replaceAll("_", " ")}`;
      case KIND.HALT:
        return "halt";
      default:
        return "not taken";
    }
  }

  /** What stands at a position: its token, and what it belongs to. */
  position(trace, n) {
    const name = trace.nameOf(n);
    const [head, tail] = name.split(".");
    if (head === "BOS") return "BOS: begin of the sequence, the floor of all lookups";
    if (head === "C") return `${name}: a constant or global`;
    const row = this.rows[n] ?? -2;
    if (row >= -1) return row < 0 ? `${name}: the idle row` : `${name}: step ${row}, ${this.step(row)}`;
    if (head === "B") return n <= 256 ? `${name}: the byte table's row ${tail}` : `${name}: byte ${tail} of data`;
    if (head === "G") return `${name}: begin of a data segment`;
    if (head === "I") return `${name}: call of ${trace.calls.find((c) => c.position === n)?.entry.name || "an export"}`;
    const step = trace.stepOf(n);
    return step < 0 ? name : `${name}: of step ${step}, ${this.step(trace.step(step).index)}`;
  }

  heads(layer) {
    return this.data.names.layers[layer].heads.map((name) => name.split(" -> "));
  }

  /** What a head found, in words. */
  found(trace, head, position) {
    const [lookup] = this.heads(head.layer)[head.index];
    const winner = head.winner;
    if (winner < 0) return `the mean over all ${position + 1} positions`;
    const role = roleOf(lookup);
    if (winner === 0 && (role === "operand" || role === "memory" || role === "call")) return "nothing has that address: the floor (BOS) wins, value 0";
    if (role === "operand") return this.written(trace, winner);
    if (role === "memory") return this.byteAt(trace, winner);
    return this.position(trace, winner);
  }

  written(trace, n) {
    const number = trace.stepOf(n);
    if (number < 0) return this.position(trace, n);
    const step = trace.step(number);
    const dest = this.program.steps[step.index]?.dest;
    if (!dest) return this.position(trace, n);
    return `${this.slot(dest)} = ${signed(trace.value(step))}, written by step ${number}`;
  }

  byteAt(trace, n) {
    const address = trace.keys[n];
    const number = trace.stepOf(n + 1);
    const store = number >= 0 && this.program.steps[trace.step(number).index]?.effect === "store";
    if (store) return `byte at ${hex(address)} = ${this.table.value[trace.tokens[n + 1]]}, written by step ${number}`;
    return `byte at ${hex(address)}, ${this.position(trace, n)}`;
  }
}

const ROLES = [
  [/^operand /, "operand"], [/^memory\+/, "memory"], [/^fetch/, "fetch"], [/^(call|entry|before)$/, "call"], [/^table /, "table"],
  [/^(uniform|relative|frame|distance|carry|quotient|segment|far|position|piece)/, "sum"],
];

/** What a lookup is for: "operand", "memory", "fetch", "call", "table", "sum" (bookkeeping). */
export function roleOf(lookup) {
  return ROLES.find(([pattern]) => pattern.test(lookup))?.[1] ?? "sum";
}

export const ROLE_TEXT = {
  fetch: "fetches the row of the current step", operand: "reads a slot", memory: "reads memory", call: "finds the call or entry",
  table: "looks a byte up in the table", sum: "bookkeeping: sums, digits, rounding",
};

export function hex(address, width = 0) {
  const text = Math.abs(address).toString(16).padStart(width, "0");
  return `${address < 0 ? "hidden −" : ""}0x${text}`;
}

/** A value signed, and in hexadecimal where that says more. */
export function signed(value, wide = false) {
  const bits = wide || value >= 1n << 32n ? 64 : 32;
  const number = BigInt.asIntN(bits, value);
  return number >= 0n && number < 10n ? `${number}` : `${number} (0x${value.toString(16)})`;
}

/** Weights [[slot, weight], ...] as a linear form over named slots; slot 0 is the constant 1. */
export function form(row, slots) {
  if (!row.length) return "0";
  const terms = [...row].sort((a, b) => (a[0] === 0) - (b[0] === 0));
  return terms
    .map(([slot, weight], i) => {
      const size = number(Math.abs(weight));
      const name = slots[slot] || `slot ${slot}`;
      const text = slot === 0 ? size : size === "1" ? name : `${size}·${name}`;
      return (weight < 0 ? (i ? " − " : "−") : i ? " + " : "") + text;
    })
    .join("");
}
