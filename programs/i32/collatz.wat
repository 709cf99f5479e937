;; The Collatz sequence n -> n/2 or 3n + 1: how many terms until 1, and the largest on the way.
(module
  (func $next (param $n i32) (result i32)
    (select
      (i32.add (i32.mul (local.get $n) (i32.const 3)) (i32.const 1))
      (i32.shr_u (local.get $n) (i32.const 1))
      (i32.and (local.get $n) (i32.const 1))))

  (func (export "steps") (param $n i32) (result i32)
    (local $count i32)
    (block $done
      (loop $again
        (br_if $done (i32.eq (local.get $n) (i32.const 1)))
        (local.set $n (call $next (local.get $n)))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br $again)))
    (local.get $count))

  (func (export "peak") (param $n i32) (result i32)
    (local $peak i32)
    (loop $again
      (if (i32.gt_u (local.get $n) (local.get $peak))
        (then (local.set $peak (local.get $n))))
      (local.set $n (call $next (local.get $n)))
      (br_if $again (i32.ne (local.get $n) (i32.const 1))))
    (local.get $peak)))
