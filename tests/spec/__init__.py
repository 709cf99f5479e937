"""The WebAssembly specification's own test scripts (.wast), run through compiler and engine: `python -m tests.spec`."""
