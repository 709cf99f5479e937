;; What Emscripten's JavaScript gives the modules that it compiles, as far as it needs no JavaScript: imports from "env". A
;; module gets those functions that it imports, with memory and table its own. A name may have two types, depending on
;; Emscripten's age: the second is exported as "name.2".
;; Not here: invoke_*, which are made for the types that a module imports (see invoke.py), and what throws (env_throwing.wat).
(module
  (import "w2x" "memory" (memory 0))
  (import "w2x" "clock_seconds" (global $clock_seconds (mut i32)))
  (import "w2x" "clock_nanoseconds" (global $clock_nanoseconds (mut i32)))
  ;; include env_common.wat
)
