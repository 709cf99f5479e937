"""Random programs, compiled and checked step by step against wasmtime: `python -m tests.fuzz`."""
