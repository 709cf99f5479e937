"""The page in which a transformer computes: its data out of a checkpoint and runs, and one HTML file that holds it all."""
