"""WebAssembly text, binaries and C in; a checked Module out. Passes in order: source, decode, check, prune."""
