// Elements of the page, made by small functions.

const SVG = "http://www.w3.org/2000/svg";

/** h("button", {class: "x", onclick: f}, "text", child, ...): an element. Children that are null or false are left out. */
export function h(tag, properties, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

export function replace(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
}

/** Details whose content is made when they are opened first. */
export function folded(open, title, content) {
  const details = h("details", { open }, h("summary", {}, title), open ? content() : null);
  if (!open) details.addEventListener("toggle", () => details.append(content()), { once: true });
  return details;
}

/** A figure with its drawing and a button that saves it. */
export function figure(drawing, caption, name) {
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", caption);
  const save = h("button", { class: "quiet", onclick: () => saveDrawing(drawing, name), title: "Save this drawing as SVG" }, "SVG");
  return h("figure", {}, drawing, h("figcaption", {}, caption, " ", save));
}

function saveDrawing(drawing, name) {
  const copy = drawing.cloneNode(true);
  copy.setAttribute("xmlns", SVG);
  const parts = [drawing, ...drawing.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((element, i) => {
    const style = getComputedStyle(parts[i]);
    for (const property of ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family", "text-anchor"]) {
      element.style.setProperty(property, style.getPropertyValue(property));
    }
  });
  download(`${name}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(copy));
}

export function saveJson(name, value) {
  const plain = (_, v) => (typeof v === "bigint" ? v.toString() : ArrayBuffer.isView(v) ? Array.from(v) : v instanceof Map ? [...v] : v);
  download(`${name}.json`, "application/json", JSON.stringify(value, plain, 1));
}

export function jsonButton(name, value) {
  return h("button", { class: "quiet", title: "Save what this view shows as JSON", onclick: () => saveJson(name, value()) }, "JSON");
}

function download(name, type, text) {
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** A number for people: few digits, powers of two as such. */
export function number(x) {
  if (!Number.isFinite(x)) return String(x);
  if (x === 0) return "0";
  const exponent = Math.log2(Math.abs(x));
  if (Number.isInteger(exponent) && Math.abs(exponent) > 14) return `${x < 0 ? "−" : ""}2^${exponent}`;
  const size = Math.abs(x);
  if (Number.isInteger(x) && size < 1e9) return withMinus(x.toLocaleString("en-US"));
  if (size >= 1e9 || size < 1e-4) return withMinus(x.toExponential(3));
  return withMinus(String(Number(x.toPrecision(6))));
}

function withMinus(text) {
  return text.replace("-", "−");
}
