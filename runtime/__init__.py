"""Weights to tokens to results: `instance.Instance` runs a program on an engine."""
