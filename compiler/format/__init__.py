"""What the compiler and the runtime share: types, the step ISA, the transformer, the checkpoint. Imports nothing else of ours."""
