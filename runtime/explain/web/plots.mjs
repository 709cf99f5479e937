// Drawings: attention over the sequence, parabola and paraboloid, bars.
import { h, number, s } from "./dom.mjs";
import { roleOf } from "./names.mjs";

const WIDTH = 720;
const ARCS = 1120;

/** Where the heads of a position looked: arcs over the sequence, the prefix at the left, the newest tokens as words at the right. */
export function arcs(app, detail, chosen, choose) {
  const { trace } = app;
  const place = placing(trace, detail.position);
  const height = 158;
  const base = 118;
  const drawing = s("svg", { viewBox: `0 0 ${ARCS} ${height + 26}`, class: "arcs" });
  for (const zone of place.zones) {
    drawing.append(
      s("rect", { x: zone.x, y: base, width: Math.max(zone.width - 2, 1), height: 20, class: `zone ${zone.kind}` }),
      s("text", { x: zone.x + zone.width / 2, y: base + 46, "text-anchor": "middle", class: "label" }, zone.label),
    );
  }
  for (const { n, x } of place.words) {
    const current = n === detail.position;
    drawing.append(
      s("text", { x, y: base + 14, "text-anchor": "middle", class: current ? "word now" : "word" }, trace.nameOf(n)),
    );
  }
  const from = place.x(detail.position);
  for (const head of detail.layers.flatMap((y) => y.heads)) {
    if (head.winner < 0) continue;
    const [lookup] = app.names.heads(head.layer)[head.index];
    const to = place.x(head.winner);
    const top = base - 14 - Math.min(100, 12 + Math.abs(from - to) * 0.22);
    const picked = chosen === head.number;
    const path = from === to ? `M ${from - 6} ${base} C ${from - 12} ${base - 26}, ${from + 12} ${base - 26}, ${from + 6} ${base}` : `M ${from} ${base} C ${from} ${top}, ${to} ${top}, ${to} ${base}`;
    drawing.append(
      s("path", { d: path, class: `arc ${roleOf(lookup)}${picked ? " picked" : ""}`, onclick: () => choose(head) },
        s("title", {}, `${lookup}: ${app.names.found(trace, head, detail.position)}`)),
      s("circle", { cx: to, cy: base, r: picked ? 5 : 3, class: `dot ${roleOf(lookup)}` }),
    );
  }
  drawing.append(s("path", { d: `M ${from - 6} ${base + 30} l 6 -8 l 6 8 z`, class: "here" }));
  return drawing;
}

/** x of every position: prefix and older tokens to scale, the last ones as words. */
function placing(trace, position) {
  const prefix = trace.prefixLength;
  const wordWidth = 56;
  const shown = Math.min(10, position + 1 - prefix);
  const firstWord = position + 1 - Math.max(shown, 0);
  const wordsX = ARCS - Math.max(shown, 0) * wordWidth;
  const older = Math.max(0, firstWord - prefix);
  const prefixWidth = older ? wordsX * 0.6 : wordsX;
  const zones = sections(trace, prefix, prefixWidth);
  if (older) zones.push({ x: prefixWidth, width: wordsX - prefixWidth, kind: "older", label: `${older.toLocaleString("en-US")} earlier tokens` });
  const words = [];
  for (let n = firstWord; n <= position; n++) {
    if (n < prefix) continue;
    const x = wordsX + (n - firstWord) * wordWidth;
    zones.push({ x, width: wordWidth, kind: "token", label: "" });
    words.push({ n, x: x + wordWidth / 2 - 1 });
  }
  const x = (n) => {
    if (n >= firstWord && n >= prefix) return wordsX + (n - firstWord) * wordWidth + wordWidth / 2 - 1;
    if (n >= prefix) return prefixWidth + ((n - prefix + 0.5) / older) * (wordsX - prefixWidth);
    const zone = zones.find((z) => z.from <= n && n < z.to);
    return zone ? zone.x + ((n - zone.from + 0.5) / (zone.to - zone.from)) * (zone.width - 2) : 2;
  };
  return { zones, words, x };
}

const SECTIONS = { BOS: "BOS", B: "bytes", C: "constants", P: "program", G: "data" };

/** The parts of the prefix, each at least 26 wide. */
function sections(trace, prefix, width) {
  const parts = [];
  for (let n = 0; n < prefix; n++) {
    const head = trace.nameOf(n).split(".")[0].replace(/^P\d+$/, "P");
    const last = parts[parts.length - 1];
    const kind = head === "P" && (!last || last.kind === "B") ? "B" : head === "B" && last && (last.kind === "G" || last.kind === "data") ? "G" : head;
    if (last && last.kind === kind) last.to = n + 1;
    else parts.push({ kind, from: n, to: n + 1 });
  }
  const least = Math.min(34, width / Math.max(parts.length, 1));
  const rest = width - least * parts.length;
  let x = 0;
  for (const part of parts) {
    const own = least + (rest * (part.to - part.from)) / prefix;
    Object.assign(part, { x, width: own, label: own > 62 ? SECTIONS[part.kind] ?? part.kind : part.kind });
    x += own;
  }
  return parts;
}

/** Keys of a head as a drawing that shows why the winner wins: a parabola for one digit, a paraboloid for more, else scores over
 * positions. points: {position, key, score}. scale: what one unit of distance is worth. */
export function landscape(cloud, winner, describe) {
  const width = cloud.query.length;
  const digits = width === 2 ? 1 : width - 2;
  const scale = cloud.query[digits] || 1;
  if (width === 1 || !(scale > 0)) return overPositions(cloud, winner, describe);
  const centre = Array.from({ length: digits }, (_, j) => cloud.query[j] / scale);
  const at = (key) => Array.from({ length: digits }, (_, j) => key[j] / 2);
  const points = cloud.points.map((p) => ({ ...p, digits: at(p.key), height: p.score / scale }));
  if (digits === 1) return parabola(points, centre[0], winner, describe, width === 2);
  return paraboloid(points, centre, winner, describe);
}

/** score / K over the key's digit: points on parabolas -(a - b)^2. raw: the score lacks the constant b^2. */
function parabola(points, query, winner, describe, raw) {
  const shifted = points.map((p) => ({ ...p, height: raw ? p.height - query * query : p.height }));
  const near = 4;
  const [left, right, top, bottom] = [48, WIDTH - 20, 24, 220];
  const x = (a) => left + ((a - query + near) / (2 * near)) * (right - left);
  const y = (v) => top + (Math.min(-v, near * near) / (near * near)) * (bottom - top);
  const drawing = s("svg", { viewBox: `0 0 ${WIDTH} 260`, class: "plot" });
  const curve = Array.from({ length: 81 }, (_, i) => query - near + (i * near) / 40).map((a) => `${x(a)},${y(-((a - query) ** 2))}`);
  drawing.append(
    s("polyline", { points: curve.join(" "), class: "curve" }),
    s("line", { x1: x(query), x2: x(query), y1: top - 8, y2: bottom, class: "query" }),
    s("text", { x: x(query) + 5, y: bottom - 4, class: "label" }, `query ${number(query)}`),
    s("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "axis" }),
    s("text", { x: right, y: bottom + 18, "text-anchor": "end", class: "label" }, "key: the address, centred"),
    s("text", { x: left, y: top - 10, class: "label" }, "score / K = −(key − query)²"),
  );
  const visible = shifted.filter((p) => Math.abs(p.digits[0] - query) <= near && p.height >= -near * near - 1);
  drawing.append(...visible.reverse().map((p) => dot(x(p.digits[0]), y(p.height), p, winner, describe)));
  if (!raw) drawing.append(s("line", { x1: left, x2: right, y1: y(-0.5), y2: y(-0.5), class: "floor" }), s("text", { x: left, y: y(-0.5) - 3, class: "label" }, "floor −½"));
  return drawing;
}

/** Two of the digits, the ones in which keys differ most, seen from above at an angle; height is the score. */
function paraboloid(points, query, winner, describe) {
  const spread = query.map((_, j) => new Set(points.slice(0, 120).map((p) => p.digits[j])).size);
  const axes = spread.map((size, j) => [size, -j]).sort((a, b) => b[0] - a[0] || b[1] - a[1]).slice(0, 2).map((e) => -e[1]).sort();
  const reach = 12;
  const project = (a, b, v) => [WIDTH / 2 + (a - b) * 13, 92 + (a + b) * 5.5 - (Math.max(v, -160) + 0) * 0.85];
  const drawing = s("svg", { viewBox: `0 0 ${WIDTH} 300`, class: "plot" });
  for (let r = 2; r <= reach; r += 2) {
    const ring = Array.from({ length: 49 }, (_, i) => {
      const angle = (i * Math.PI) / 24;
      return project(r * Math.cos(angle), r * Math.sin(angle), -r * r).join(",");
    });
    drawing.append(s("polyline", { points: ring.join(" "), class: "mesh" }));
  }
  for (let i = 0; i < 12; i++) {
    const angle = (i * Math.PI) / 6;
    const spoke = Array.from({ length: 13 }, (_, k) => project(k * Math.cos(angle), k * Math.sin(angle), -k * k).join(","));
    drawing.append(s("polyline", { points: spoke.join(" "), class: "mesh" }));
  }
  const shown = points.map((p) => ({ ...p, offset: axes.map((j) => p.digits[j] - query[j]) })).filter((p) => p.offset.every((o) => Math.abs(o) <= reach) && p.height > -180);
  drawing.append(...shown.reverse().map((p) => dot(...project(p.offset[0], p.offset[1], p.height), p, winner, describe)));
  const [x, y] = project(0, 0, 0);
  drawing.append(
    s("line", { x1: x, x2: x, y1: y - 30, y2: y, class: "query" }), s("text", { x: x + 6, y: y - 20, class: "label" }, "query"),
    s("text", { x: 12, y: 20, class: "label" }, `score / K = −|key − query|², over digits ${axes.join(" and ")} of ${query.length}`),
    s("text", { x: 12, y: 290, class: "label" }, `${points.length - shown.length} of ${points.length} keys are farther away`),
  );
  return drawing;
}

function overPositions(cloud, winner, describe) {
  const best = Math.max(...cloud.points.map((p) => p.score));
  const last = Math.max(...cloud.points.map((p) => p.position), 1);
  const depth = (p) => Math.min(1, Math.log10(1 + best - p.score) / 12);
  const drawing = s("svg", { viewBox: `0 0 ${WIDTH} 220`, class: "plot" });
  drawing.append(
    s("line", { x1: 40, x2: WIDTH - 10, y1: 190, y2: 190, class: "axis" }),
    s("text", { x: WIDTH - 10, y: 210, "text-anchor": "end", class: "label" }, "position"),
    s("text", { x: 40, y: 16, class: "label" }, "score below the best one (logarithmic)"),
    ...cloud.points.map((p) => dot(40 + (p.position / last) * (WIDTH - 60), 28 + depth(p) * 155, p, winner, describe)),
  );
  return drawing;
}

function dot(x, y, point, winner, describe) {
  const won = point.position === winner;
  return s("circle", { cx: x, cy: y, r: won ? 6 : 3.5, class: won ? "key won" : "key" }, s("title", {}, describe(point)));
}

/** Horizontal bars {label, value, shown, class}; values from 0 to 1. */
export function bars(rows) {
  return h("div", { class: "bars" }, rows.map((row) =>
    h("div", { class: `bar ${row.class ?? ""}` },
      h("span", { class: "name" }, row.label),
      h("span", { class: "track" }, h("span", { class: "fill", style: `width:${(100 * Math.max(row.value, 0)).toFixed(3)}%` })),
      h("span", { class: "value" }, row.shown))));
}

/** Logits of neighbouring ids as a curve with the winner marked. */
export function logitCurve(app, logits) {
  const values = logits.near.map((e) => e[1]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (i) => 30 + (i / Math.max(logits.near.length - 1, 1)) * (WIDTH - 60);
  const y = (v) => 30 + (high > low ? (high - v) / (high - low) : 0) * 120;
  const drawing = s("svg", { viewBox: `0 0 ${WIDTH} 200`, class: "plot" });
  drawing.append(s("polyline", { points: logits.near.map(([, v], i) => `${x(i)},${y(v)}`).join(" "), class: "curve" }));
  logits.near.forEach(([id, value], i) => {
    const won = id === logits.winner;
    const name = app.table.names[id];
    drawing.append(
      s("circle", { cx: x(i), cy: y(value), r: won ? 6 : 3, class: won ? "key won" : "key" }, s("title", {}, `${name} (id ${id}): ${number(value)}`)),
      won || i % 3 === 0 ? s("text", { x: x(i), y: won ? y(value) - 12 : 176, "text-anchor": "middle", class: won ? "word now" : "label" }, name) : "",
    );
  });
  return drawing;
}
