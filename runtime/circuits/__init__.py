"""The true circuits of a compiled model: its graph of heads and neurons, what a run uses, and methods that look for it."""
