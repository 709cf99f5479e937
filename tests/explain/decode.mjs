// Decodes the runs of a page's data and prints what came out: node decode.mjs DATA [quick|all|spoiled].
// Besides: where every head looks at every 37th position, computed once more when all is read.
import { readFileSync } from "node:fs";
import { Decoder, weightsOf } from "../../runtime/explain/web/decoder.mjs";
import { inspected } from "../../runtime/explain/web/inspected.mjs";
import { unpack } from "../../runtime/explain/web/matrices.mjs";

const [, , path, mode = "quick"] = process.argv;
const data = JSON.parse(readFileSync(path, "utf-8"));
const weights = weightsOf(data.weights);
if (mode === "spoiled") weights.layers[0].v = weights.layers[0].v.with(0, 0, 3);
const decoder = new Decoder(weights, { quick: mode !== "all" });
for (const token of weights.prefix) decoder.append(token);
const runs = data.runs.map((run) => {
  for (const token of unpack(run.prompt)) decoder.append(token);
  const count = unpack(run.tokens).length;
  const tokens = [];
  while (tokens.length < count) {
    tokens.push(decoder.next());
    decoder.append(tokens[tokens.length - 1]);
  }
  return tokens;
});
const looks = [];
for (let at = 0; at < decoder.length; at += 37) {
  looks.push(inspected(decoder, at).layers.flatMap((y) => y.heads).map((head) => [head.winner, head.highest, head.total, head.attended, head.out]));
}
console.log(JSON.stringify({ runs, looks, probed: decoder.probed, logits: Array.from(decoder.unembedded(decoder.residual)) }));
