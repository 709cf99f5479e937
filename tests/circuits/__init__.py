"""Circuit discovery and training on compiled models, measured: the tables of docs/ground-truth.md, section "Circuits"."""
