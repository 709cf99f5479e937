"""Random programs, every step compared with wasmtime: python -m tests.random"""
