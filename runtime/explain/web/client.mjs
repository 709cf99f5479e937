// The page's side of the runner: a worker, or the runner itself where a page may not start one.
import { Runner } from "./runner.mjs";

export class Client {
  /** listener(message): tokens and done of the current run. */
  constructor(code, data, listener) {
    Object.assign(this, { listener, waiting: new Map(), next: 1, run: 0, inWorker: true });
    try {
      const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
      worker.onmessage = (event) => this.receive(event.data);
      this.send = (message) => worker.postMessage(message);
    } catch {
      const runner = new Runner((message) => setTimeout(() => this.receive(message), 0));
      this.inWorker = false;
      this.send = (message) => runner.receive(message);
    }
    this.send({ type: "load", weights: data.weights, stops: data.tokens.stops });
  }

  start(prompts, change, limit) {
    this.run++;
    this.send({ type: "run", run: this.run, prompts, change, limit });
    return this.run;
  }

  /** Goes on with a run that stopped at its limit. */
  extend(limit) {
    this.send({ type: "extend", run: this.run, limit });
  }

  ask(message) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.send({ ...message, id });
    });
  }

  receive(message) {
    if (message.type !== "answer") {
      if (message.run === this.run) this.listener(message);
      return;
    }
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.error && !waiting) throw new Error(message.error);
    if (message.error) waiting.reject(new Error(message.error));
    else waiting?.resolve(message.answer);
  }
}
