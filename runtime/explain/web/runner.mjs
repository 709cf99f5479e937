// Decodes in a worker (or in the page where there can be none), and answers questions about positions.
import { Decoder, weightsOf } from "./decoder.mjs";
import { inspected, cloudOf } from "./inspected.mjs";
import { unpack } from "./matrices.mjs";

const SLICE_MS = 30;

/**
 * Messages in: {type: "load", weights, stops}; {type: "run", run, prompts, change, limit}: decodes each prompt to its end,
 * or up to so many tokens; {type: "extend", run, limit}: goes on;
 * {type: "inspect", position}, {type: "cloud", position, head}, {type: "readers", position, heads}: answered with the same id.
 * Messages out: {type: "tokens", run, tokens, keys, first, forced}, {type: "done", run, ms, reason}, {type: "answer", id, ...}.
 */
export class Runner {
  constructor(post) {
    Object.assign(this, { post, current: 0, decoders: new Map() });
  }

  receive(message) {
    try {
      const answer = this[message.type](message);
      if (message.id) this.post({ type: "answer", id: message.id, answer });
    } catch (error) {
      this.post({ type: "answer", id: message.id, error: String(error.stack ?? error) });
    }
  }

  load({ weights, stops }) {
    this.weights = weightsOf(weights);
    this.stops = unpack(stops);
  }

  /** change: see Decoder, and weights ([layer or -1, matrix, row, column, value]), token ({position, token}). */
  run({ run, prompts, change, limit }) {
    this.current = run;
    const weights = spoiled(this.weights, change?.weights ?? []);
    this.decoder = new Decoder(weights, change ?? {});
    this.limit = limit;
    this.work = this.sequence(prompts, change?.token);
    this.began = performance.now();
    this.proceed(run);
  }

  /** Goes on with a run that stopped at its limit. */
  extend({ run, limit }) {
    this.limit = limit;
    this.began = performance.now();
    this.proceed(run);
  }

  /** Tokens of all calls, one after the other: {token, forced}; null where the limit is reached. */
  *sequence(prompts, override) {
    for (const token of this.weights.prefix) yield { token, forced: true };
    for (const prompt of prompts) {
      for (const token of prompt) yield { token, forced: true };
      while (true) {
        while (this.decoder.length >= this.limit) yield null;
        const chosen = override && override.position === this.decoder.length;
        const token = chosen ? override.token : this.decoder.next();
        yield { token, forced: false };
        if (this.stops[token]) break;
      }
    }
    return "end";
  }

  proceed(run) {
    if (run !== this.current) return;
    const until = performance.now() + SLICE_MS;
    const [first, tokens, forced] = [this.decoder.length, [], []];
    let reason = null;
    while (performance.now() < until) {
      const { value, done } = this.work.next();
      if (done || !value) {
        reason = value ?? "limit";
        break;
      }
      this.decoder.append(value.token);
      tokens.push(value.token);
      forced.push(value.forced);
    }
    const probe = this.decoder.probed["memory.key"];
    this.post({ type: "tokens", run, first, tokens, forced, keys: probe ? probe.slice(first) : null });
    if (reason) this.post({ type: "done", run, reason, ms: performance.now() - this.began });
    else setTimeout(() => this.proceed(run), 0);
  }

  inspect({ position }) {
    return inspected(this.decoder, position);
  }

  cloud({ position, head }) {
    return cloudOf(this.decoder, position, head);
  }

  /** Positions after this one at which one of the heads weighs it most: [position, head]. */
  readers({ position, heads }) {
    const found = [];
    for (let at = position + 1; at < this.decoder.length && found.length < 500; at++) {
      for (const head of heads) if (this.decoder.winner(at, head) === position) found.push([at, head]);
    }
    return found;
  }
}

function spoiled(weights, changes) {
  let result = weights;
  for (const [layer, matrix, row, column, value] of changes) {
    if (layer < 0) result = { ...result, [matrix]: result[matrix].with(row, column, value) };
    else {
      const layers = [...result.layers];
      layers[layer] = { ...layers[layer], [matrix]: layers[layer][matrix].with(row, column, value) };
      result = { ...result, layers };
    }
  }
  return result;
}

/** In a worker: messages go to a runner. */
export function serve(scope) {
  const runner = new Runner((message) => scope.postMessage(message));
  scope.onmessage = (event) => runner.receive(event.data);
}
