// What the page is about at this moment: the calls, their trace, and what the visitor looks at. Views listen.
import { Client } from "./client.mjs";
import { unpack } from "./matrices.mjs";
import { Names } from "./names.mjs";
import { bitsOf, promptOf } from "./prompt.mjs";
import { KIND, tokenTable, Trace } from "./trace.mjs";

// Tokens behind the prefix after which decoding stops until the visitor wants more: keys and values of all heads are kept.
const PORTION = 30000;

export class App {
  constructor(data, code) {
    Object.assign(this, { data, code, listeners: new Set(), breakpoints: [], view: { tab: "explore", panel: "attention" } });
    this.table = tokenTable(data);
    this.names = new Names(data, this.table);
    this.prefix = Int32Array.from(unpack(data.weights.prefix));
    this.recorded = data.runs.map((run) => ({ ...run, prompt: Array.from(unpack(run.prompt)), tokens: Array.from(unpack(run.tokens)) }));
    this.entries = data.program.entries.filter((e) => e.kind === "call");
    this.client = new Client(code, data, (message) => this.receive(message));
    this.cursor = 0;
  }

  on(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  changed(what) {
    for (const listener of [...this.listeners]) listener(what);
  }

  /** The recorded calls, as they came. */
  runRecorded(cursor = null) {
    this.calls = this.recorded.map((run) => ({ name: run.name, texts: run.arguments, kind: run.kind }));
    this.start(this.recorded.map((run) => run.prompt), cursor, this.recorded.map((run) => run.tokens));
  }

  /** Other arguments: [{name, texts}]. Throws an Error for what is no argument. */
  runCalls(calls, cursor = null, stdin = null) {
    const prompts = calls.map(({ name, texts }) => {
      const entry = this.entries.find((e) => e.name === name);
      if (!entry) throw new Error(`no exported function ${name}`);
      const bits = entry.params.map((type, i) => bitsOf(type, texts[i] ?? "", this.data.program.function_references));
      return promptOf(this.data, this.table.ids, entry, bits, stdin);
    });
    const before = this.recorded.filter((run) => run.kind !== "call").map((run) => run.prompt);
    this.calls = calls.map((c) => ({ ...c, kind: "call" }));
    const same = JSON.stringify([...before, ...prompts]) === JSON.stringify(this.recorded.map((run) => run.prompt));
    this.start([...before, ...prompts], cursor, same ? this.recorded.map((run) => run.tokens) : null);
  }

  start(prompts, cursor, recorded) {
    Object.assign(this, { prompts, ended: null, detail: null, placed: false, wanted: cursor, expected: recorded });
    this.trace = new Trace(this.data.program, this.table, this.prefix.length);
    this.forced = [];
    this.firstPosition = this.prefix.length;
    this.cursor = this.prefix.length;
    this.limit = this.prefix.length + PORTION;
    this.client.start(prompts, null, this.limit);
    this.changed("run");
  }

  /** Decodes more of a long run. */
  more(tokens) {
    this.limit += tokens;
    this.ended = null;
    this.client.extend(this.limit);
    this.changed("tokens");
  }

  receive(message) {
    if (message.type === "tokens") {
      this.trace.extend(message.tokens, message.keys);
      for (const f of message.forced) this.forced.push(f);
      const ready = this.trace.tokens.length > this.prefix.length && this.trace.count > 0;
      if (ready && !this.placed) {
        const call = this.trace.calls.find((c) => c.entry.kind === "call");
        const decoded = call ? this.forced.indexOf(false, call.position) : -1;
        this.cursor = decoded < 0 ? this.firstToken() : Math.max(decoded, this.firstToken());
        this.placed = decoded >= 0;
      }
      if (this.wanted !== null && this.wanted < this.trace.tokens.length) {
        this.select(this.wanted);
        this.wanted = null;
      }
    } else {
      this.ended = message;
      this.ended.agreed = this.agreement();
      if (this.wanted !== null) this.wanted = null;
    }
    this.changed("tokens");
    if (this.ended && this.trace.count) this.changed("cursor");
    if (this.placed && !this.detail && !this.asking) this.inspect();
  }

  /** How many decoded tokens are the recorded ones: {same, of, first: position of the first other one or -1}, null: none recorded. */
  agreement() {
    if (!this.expected) return null;
    let position = this.prefix.length;
    let [same, of] = [0, 0];
    for (const [i, prompt] of this.prompts.entries()) {
      position += prompt.length;
      for (const token of this.expected[i]) {
        if (position >= this.trace.tokens.length && this.ended.reason === "limit") return { same, of: same, first: -1 };
        if (this.trace.tokens[position] !== token) return { same, of: of + 1, first: position };
        [same, of, position] = [same + 1, of + 1, position + 1];
      }
    }
    return { same, of, first: -1 };
  }

  /** The first token that belongs to a step. */
  firstToken() {
    return this.trace.step(0)?.first ?? this.prefix.length;
  }

  get last() {
    return this.trace.tokens.length - 1;
  }

  get stepNumber() {
    return Math.max(0, this.trace.stepOf(this.cursor));
  }

  /** Looks at the token at a position. */
  select(position) {
    const chosen = Math.max(this.firstToken(), Math.min(position, this.last));
    if (chosen === this.cursor && this.detail) return;
    this.cursor = chosen;
    this.changed("cursor");
    this.inspect();
  }

  selectStep(number) {
    const bounded = Math.max(0, Math.min(number, this.trace.count - 1));
    if (this.trace.count) this.select(this.trace.step(bounded).first);
  }

  /** Asks for what happened at the position before the cursor, where its token was decided. The newest question counts. */
  async inspect() {
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = true;
    const run = this.client.run;
    const detail = await this.client.ask({ type: "inspect", position: this.cursor - 1 });
    this.asking = false;
    if (run === this.client.run && detail.position === this.cursor - 1) {
      this.detail = detail;
      this.changed("detail");
    }
    if (this.again || run !== this.client.run) {
      this.again = false;
      this.inspect();
    }
  }

  /** The next step, from one on in a direction, at which a breakpoint holds; -1: none. */
  nextBreak(from, direction) {
    const holds = this.breakTest();
    for (let n = from + direction; n >= 0 && n < this.trace.count; n += direction) if (holds(n)) return n;
    return -1;
  }

  breaksAt(number) {
    return this.breakTest()(number);
  }

  /** Whether a breakpoint holds at the step of a number, as a function. */
  breakTest() {
    const { trace, table } = this;
    const of = (kind) => this.breakpoints.filter((b) => b.kind === kind);
    const steps = new Set(of("step").map((b) => b.step));
    const writes = new Set(of("write").flatMap((b) => trace.writersOf(b.address)));
    const traps = of("trap").length > 0;
    return (number) => {
      const step = trace.step(number);
      return steps.has(step.index) || writes.has(number) || (traps && table.kind[trace.tokens[step.last]] === KIND.TRAP);
    };
  }

  toggleBreakpoint(breakpoint) {
    const text = JSON.stringify(breakpoint);
    const at = this.breakpoints.findIndex((b) => JSON.stringify(b) === text);
    if (at < 0) this.breakpoints.push(breakpoint);
    else this.breakpoints.splice(at, 1);
    this.changed("breakpoints");
  }

  /** Who reads what stands under the key of a position next: [step, token position], or null. */
  async nextReader(position, what) {
    const numbers = [];
    let number = 0;
    for (const [layer, names] of this.data.names.layers.entries()) {
      names.heads.forEach((name, index) => {
        if (what === "slot" ? /^operand [abc] /.test(name) : /^memory\+/.test(name)) numbers.push({ number: number + index, name, layer });
      });
      number += names.heads.length;
    }
    const found = await this.client.ask({ type: "readers", position, heads: numbers.map((n) => n.number) });
    for (const [at, head] of found) {
      const step = this.trace.stepOf(at + 1);
      if (step < 0) continue;
      const declared = this.data.program.steps[this.trace.step(step).index];
      const operand = numbers.find((n) => n.number === head).name.match(/^operand (\w)/)?.[1];
      if (operand ? declared?.[operand] && declared[operand][0] !== "const" : declared?.space && declared.effect === "value") return [step, at + 1];
    }
    return null;
  }
}
