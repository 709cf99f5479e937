// From tokens to executed steps, and to what slots and memory hold before each: tokens are moved, nothing is computed.
import { unpack } from "./matrices.mjs";

export const KIND = { NONE: 0, DIGIT: 1, SCRATCH: 2, NEXT: 3, JUMP: 4, STDOUT: 5, STDERR: 6, HALT: 7, TRAP: 8, ENTRY: 9, FAR: 10 };

/** What the tokens are, see compiler/format/tokens.py. */
export function tokenTable(data) {
  const columns = ["kind", "place", "value", "ip_delta", "frame_delta", "ends", "stops"];
  const table = Object.fromEntries(columns.map((c) => [c, unpack(data.tokens[c])]));
  return { ...table, names: data.tokens.names, traps: data.tokens.traps, ids: new Map(data.tokens.names.map((n, i) => [n, i])) };
}

/** The executed steps of a growing sequence. `steps`: {index, first, last, frame, caller, call}: token positions and frame base;
 * caller: number of the step that made the frame, -1 in the entry. */
export class Trace {
  constructor(program, table, prefix) {
    Object.assign(this, { program, table, tokens: [], keys: [], steps: [], calls: [], output: [], results: [], lowestByte: Infinity });
    this.slots = new Map();
    this.bytes = new Map();
    this.prefixLength = prefix;
    this.ip = 0;
    this.frame = 0;
    this.caller = -1;
    this.first = -1;
    this.stepAt = [];
    this.stores = []; // numbers of the steps that store
    this.ipAt = []; // instruction pointer and frame behind each token
    this.frameAt = [];
    for (const [kind, index, value] of program.initial) this.slots.set(`${kind} ${index}`, { steps: [-1], values: [BigInt(value)] });
  }

  /** Reads tokens with the memory key at each position (null: the program has no memory). */
  extend(tokens, keys) {
    for (let i = 0; i < tokens.length; i++) {
      this.keys.push(keys ? keys[i] : NaN);
      this.read(tokens[i]);
    }
  }

  read(token) {
    const position = this.tokens.length;
    this.tokens.push(token);
    this.stepAt.push(-1);
    this.place(token, position);
    this.ipAt.push(this.ip);
    this.frameAt.push(this.frame);
  }

  /** Moves on by a token: to which step it belongs, and what it writes. */
  place(token, position) {
    const { table } = this;
    const kind = table.kind[token];
    if (kind === KIND.ENTRY) {
      Object.assign(this, { ip: table.ip_delta[token], frame: 0, caller: -1, first: -1, halted: false });
      this.calls.push({ entry: this.program.entries[table.value[token]], position, step: this.steps.length });
      return;
    }
    if (table.names[token].startsWith("B.") && this.keys.length) this.wrote(this.keys[position], position, position);
    if (kind === KIND.NONE || !this.calls.length) return;
    if (this.first < 0) this.open = { index: this.stepIn(this.ip, kind), first: position, last: position, frame: this.frame, caller: this.caller, call: this.calls.length - 1 };
    this.first = this.open.first;
    this.open.last = position;
    this.stepAt[position] = this.steps.length;
    this.ip += table.ip_delta[token];
    this.frame += table.frame_delta[token];
    const step = this.program.steps[this.open.index];
    if (step?.effect === "store" && kind === KIND.DIGIT) this.wrote(this.keys[position - 1], position - 1, position);
    if (table.ends[token]) this.finish(step, kind, token);
  }

  /** The step of a row whose first token is of this kind. Two may share a row: a branch that is taken, or what stands behind it. */
  stepIn(row, kind) {
    const { steps, step_at } = this.program;
    const first = step_at[row];
    return steps[first + 1]?.joined && kind !== KIND.JUMP && kind !== KIND.FAR ? first + 1 : first;
  }

  finish(step, kind, token) {
    const number = this.steps.length;
    this.steps.push(this.open);
    this.first = -1;
    if (step?.effect === "store") this.stores.push(number);
    if (kind === KIND.DIGIT && step?.dest) {
      const name = this.slotName(step.dest, this.open.frame);
      if (!this.slots.has(name)) this.slots.set(name, { steps: [], values: [] });
      const slot = this.slots.get(name);
      slot.steps.push(number);
      slot.values.push(this.value(this.open));
    }
    if (kind === KIND.STDOUT || kind === KIND.STDERR) this.output.push({ step: number, kind, byte: this.table.value[token] });
    if (step?.effect === "result") this.results.push({ step: number, value: this.value(this.open) });
    if (step?.control === "call" && this.frame > this.open.frame) this.caller = number;
    else if (step?.control === "return" && this.caller >= 0) this.caller = this.steps[this.caller].caller;
  }

  wrote(address, key, position) {
    if (Number.isNaN(address)) return;
    if (address >= 0 && address < this.lowestByte) this.lowestByte = address;
    if (!this.bytes.has(address)) this.bytes.set(address, { keys: [], positions: [] });
    const byte = this.bytes.get(address);
    byte.keys.push(key);
    byte.positions.push(position);
  }

  /** All steps, the one in flight too. */
  get count() {
    return this.steps.length + (this.first >= 0 ? 1 : 0);
  }

  step(number) {
    return number < this.steps.length ? this.steps[number] : this.open;
  }

  /** The number of the step to which the token at a position belongs; -1: none (prompt). */
  stepOf(position) {
    return this.stepAt[position] ?? -1;
  }

  /** The value that the digits of a step are. */
  value(step) {
    let value = 0n;
    for (let p = step.first; p <= step.last; p++) {
      const token = this.tokens[p];
      const kind = this.table.kind[token];
      if (kind === KIND.DIGIT) value |= BigInt(this.table.value[token]) << BigInt(8 * Math.max(this.table.place[token], 0));
      else if (kind === KIND.STDOUT || kind === KIND.STDERR || kind === KIND.TRAP) value = BigInt(this.table.value[token]);
    }
    return value;
  }

  slotName([kind, index], frame) {
    return kind === "frame" ? `frame ${frame + index}` : `${kind} ${index}`;
  }

  /** What a slot holds before a step: {value, step that wrote it (-1: before the first call)}, or null. */
  slot(slot, frame, before) {
    if (slot[0] === "const") return { value: BigInt(slot[1]), step: -1 };
    const found = this.slots.get(this.slotName(slot, frame));
    const at = found ? lastBelow(found.steps, before) : -1;
    return at < 0 ? null : { value: found.values[at], step: found.steps[at] };
  }

  /** A byte of memory before a position: {value, position of the token that says it, key: position under whose key it is}. */
  byte(address, before) {
    const found = this.bytes.get(address);
    const at = found ? lastBelow(found.positions, before) : -1;
    if (at < 0) return null;
    const position = found.positions[at];
    return { value: this.table.value[this.tokens[position]], position, key: found.keys[at] };
  }

  /** The next write to a byte from a position on: the position of its token, or -1. */
  nextWrite(address, from) {
    const found = this.bytes.get(address);
    const at = found ? lastBelow(found.positions, from) + 1 : 0;
    return found && at < found.positions.length ? found.positions[at] : -1;
  }

  /** How many bytes of output come from steps before this one. */
  outputBefore(number) {
    let [low, high] = [0, this.output.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.output[middle].step < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The steps that write a byte, in order. */
  writersOf(address) {
    return (this.bytes.get(address)?.positions ?? []).map((p) => this.stepOf(p)).filter((n) => n >= 0);
  }

  /** The addresses that the last store before a step wrote. */
  lastStore(number) {
    const at = lastBelow(this.stores, number);
    const addresses = new Set();
    if (at < 0) return addresses;
    const { first, last } = this.step(this.stores[at]);
    for (let p = first; p <= last; p++) addresses.add(this.keys[p - 1]);
    return addresses;
  }

  /** Steps that are being called, the innermost last. */
  callStack(number) {
    const stack = [];
    for (let at = this.step(number)?.caller ?? -1; at >= 0; at = this.steps[at].caller) stack.push(at);
    return stack.reverse();
  }

  nameOf(position) {
    return this.table.names[this.tokens[position]];
  }
}

/** The index of the last element below a bound, -1 where there is none. */
export function lastBelow(sorted, bound) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < bound) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
