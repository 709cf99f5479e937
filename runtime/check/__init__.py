"""Checking a decoded trace: against wasmtime (oracle, diff, verify) and against the dense matrices (replay)."""
