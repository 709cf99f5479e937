"""Value and function types. Apart from `module`, so that reading a checkpoint needs no more of the front end than this."""

from __future__ import annotations

from dataclasses import dataclass

# Value types by their text names: "i32", "i64", "f32", "f64", "v128", "funcref", "externref".
ValType = str


@dataclass(frozen=True)
class FuncType:
    params: tuple[ValType, ...] = ()
    results: tuple[ValType, ...] = ()
