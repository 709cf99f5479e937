// node moonc.js COMPILER SOURCE.mbt OUTPUT.wasm FUNCTION...
//
// Compiles one MoonBit file, without MoonBit's standard library, to WebAssembly with garbage collection; exports the functions.
// COMPILER is moonc-worker.js of the npm package @moonbit/moonc-worker, which is made for a browser's worker and here is called
// directly.
const fs = require("fs");

const [compiler, source, output, ...functions] = process.argv.slice(2);
const program = fs.readFileSync(compiler, "utf8");
const [whole, exposed, name] = /;(\w+)\((\w+)\);\s*$/.exec(program.replace(/\/\*\*[^]*?\*\/\s*$/, ""));
globalThis.self = globalThis;
const holder = { exports: {} };
const text = program.slice(0, program.lastIndexOf(whole.trimEnd())) + `;return ${name};`;
const loaded = new Function("require", "module", "exports", text)(require, holder, holder.exports);
const moonc = loaded.default ?? loaded;

const built = moonc.buildPackage({
  mbtFiles: [["main.mbt", fs.readFileSync(source, "utf8")]], miFiles: [], indirectImportMiFiles: [], stdMiFiles: [],
  target: "wasm-gc", pkg: "main", pkgSources: ["main:main"], isMain: false, errorFormat: "human", enableValueTracing: false,
  noOpt: false,
});
for (const diagnostic of built.diagnostics) console.error(diagnostic);
if (!built.core) process.exit(1);
const linked = moonc.linkCore({
  coreFiles: [built.core], main: "main", pkgSources: ["main:main"], target: "wasm-gc", exportedFunctions: functions,
  outputFormat: "wasm", testMode: false, debug: false, noOpt: false, sourceMap: false, sources: {}, stopOnMain: false,
});
fs.writeFileSync(output, linked.result);
