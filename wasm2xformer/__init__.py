"""Compile WebAssembly into hand-set transformer weights and run it by decoding tokens."""
