"""The circuits that execute a step program, its tokens and its prompt: `assemble.assemble`, `machine.machine`."""
