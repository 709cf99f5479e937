;; Marsaglia's xorshift32 (shifts 13, 17, 5). The state is a global: later calls go on where earlier ones stopped.
(module
  (global $state (mut i32) (i32.const 2463534242))

  (func (export "seed") (param $seed i32)
    (global.set $state (local.get $seed)))

  (func $next (export "next") (result i32)
    (local $x i32)
    (local.set $x (global.get $state))
    (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 13))))
    (local.set $x (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 17))))
    (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 5))))
    (global.set $state (local.get $x))
    (local.get $x))

  ;; the n-th number from here on (n >= 1)
  (func (export "skip") (param $n i32) (result i32)
    (local $x i32)
    (loop $again
      (local.set $x (call $next))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $x)))
