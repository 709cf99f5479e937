;; Reference instructions. References are i32 here, null is 0.
(module
  (import "w2x" "trap_null_access" (func $trap_null_access))

  (func $ref.as_non_null (export "ref.as_non_null") (param $reference i32) (result i32)
    (if (i32.eqz (local.get $reference)) (then (call $trap_null_access)))
    (local.get $reference)))
