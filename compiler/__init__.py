"""Source text to weights: `compile.compile`. The folders stand for passes: wasm, link, lower, optimise, machine, graph."""
