"""The trace diff: what the model decoded against what wasmtime recorded, one by one, and the first difference.

Compared are every value, local and global written, every store with its bytes (and address, where the trace has them),
every branch and br_table case, the callee of every indirect call, every range written by a bulk instruction, the trap
and its instruction, the results and the output. Beyond that, every executed step, also one that stands for no WASM
instruction, must end the way its operation ends: a jump at its target, a return behind its call, a store with all its
bytes. When a call has ended, the whole of memory, all globals and tables in use are compared, the model's as its tokens have
them.
"""

from .agreement import Agreement
from .compare import Comparison, compare
from .divergence import Divergence
from .state import ModelState, StateComparison, StateDifference

__all__ = ["Agreement", "Comparison", "Divergence", "ModelState", "StateComparison", "StateDifference", "compare"]
