"""WebAssembly text, binaries and C in; a valid Module out. Passes: source, decode; check when it is known what is reached."""
