"""The program of the experts that come along: numbers.c, and numbers.wasm as build.py makes it."""
