// What the visitor looks at as the part of the address behind #.

const NUMBERS = new Set(["head", "layer", "chapter"]);

/** #explore?token=281&panel=attention&head=7&call=add:3,5 */
export function hashOf(app) {
  const query = new URLSearchParams();
  const calls = app.calls.filter((c) => c.kind === "call");
  const recorded = app.recorded.filter((run) => run.kind === "call").map((run) => ({ name: run.name, texts: run.arguments }));
  if (JSON.stringify(calls.map(({ name, texts }) => ({ name, texts }))) !== JSON.stringify(recorded)) {
    for (const call of calls) query.append("call", [call.name, call.texts.join(",")].join(":"));
  }
  query.set("token", app.cursor);
  for (const name of ["panel", "head", "layer", "chapter", "slot"]) if (app.view[name] !== undefined && app.view[name] !== "") query.set(name, app.view[name]);
  for (const b of app.breakpoints) query.append("break", b.kind === "trap" ? "trap" : `${b.kind}:${b.step ?? b.address}`);
  return `#${app.view.tab}?${query}`;
}

export function readHash(hash) {
  const [tab, text] = hash.replace(/^#/, "").split("?");
  const query = new URLSearchParams(text ?? "");
  const view = { tab: ["explore", "break", "chapters"].includes(tab) ? tab : "explore", panel: "attention" };
  for (const name of ["panel", "head", "layer", "chapter", "slot"]) if (query.has(name)) view[name] = NUMBERS.has(name) ? Number(query.get(name)) : query.get(name);
  if (!["attention", "neurons", "residual", "logits"].includes(view.panel)) view.panel = "attention";
  const calls = query.getAll("call").map((call) => {
    const at = call.lastIndexOf(":");
    return { name: call.slice(0, at), texts: call.slice(at + 1) === "" ? [] : call.slice(at + 1).split(",") };
  });
  const breakpoints = query.getAll("break").map((b) => {
    const [kind, number] = b.split(":");
    return kind === "trap" ? { kind } : { kind, [kind === "write" ? "address" : "step"]: Number(number) };
  });
  return { view, calls: calls.length ? calls : null, token: query.has("token") ? Number(query.get("token")) : null, breakpoints };
}
