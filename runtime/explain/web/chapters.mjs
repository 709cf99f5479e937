// Five chapters for somebody who knows nothing yet; their numbers are those of the model in the page.
import { lookupChapter } from "./chapter_lookup.mjs";
import { machineChapter } from "./chapter_machine.mjs";
import { parabolaChapter } from "./chapter_parabola.mjs";
import { softmaxChapter } from "./chapter_softmax.mjs";
import { wholeChapter } from "./chapter_whole.mjs";
import { h, replace } from "./dom.mjs";

const CHAPTERS = [
  ["Softmax, sharpened", softmaxChapter], ["Attention is a lookup", lookupChapter], ["The parabola", parabolaChapter],
  ["The stack machine", machineChapter], ["All of it", wholeChapter],
];

export function chapters(app) {
  const nav = h("nav", { "aria-label": "Chapters" });
  const body = h("div", {});
  const built = new Map();
  const draw = () => {
    const at = Math.max(0, Math.min(CHAPTERS.length - 1, (app.view.chapter ?? 1) - 1));
    replace(nav, CHAPTERS.map(([title], i) => h("button", { "aria-current": i === at ? "page" : null, onclick: () => turn(i) }, `${i + 1}. ${title}`)));
    if (!built.has(at)) built.set(at, CHAPTERS[at][1](app));
    const [title] = CHAPTERS[at];
    const next = at + 1 < CHAPTERS.length ? h("p", {}, h("button", { class: "primary", onclick: () => turn(at + 1) }, `Next: ${CHAPTERS[at + 1][0]}`)) : null;
    replace(body, h("h2", {}, `${at + 1}. ${title}`), built.get(at), next);
  };
  const turn = (i) => {
    app.view.chapter = i + 1;
    draw();
    app.changed("chapter");
    scrollTo({ top: 0 });
  };
  app.on((what) => what === "tab" && app.view.tab === "chapters" && draw());
  draw();
  return h("article", { class: "chapter" }, nav, body);
}
