// Decodes the runs of a page's data and prints what came out: node decode.mjs DATA [quick|all|spoiled].
import { readFileSync } from "node:fs";
import { Decoder, weightsOf } from "../../runtime/explain/web/decoder.mjs";
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
console.log(JSON.stringify({ runs, probed: decoder.probed, logits: Array.from(decoder.unembedded(decoder.residual)) }));
