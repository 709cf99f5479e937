;; n! modulo 2^32, once by a loop and once by recursion.
(module
  (func $loop (export "factorial") (param $n i32) (result i32)
    (local $product i32)
    (local.set $product (i32.const 1))
    (block $done
      (loop $again
        (br_if $done (i32.le_u (local.get $n) (i32.const 1)))
        (local.set $product (i32.mul (local.get $product) (local.get $n)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $again)))
    (local.get $product))

  (func $recursive (export "factorial_recursive") (param $n i32) (result i32)
    (if (result i32) (i32.eqz (local.get $n))
      (then (i32.const 1))
      (else
        (i32.mul (local.get $n) (call $recursive (i32.sub (local.get $n) (i32.const 1))))))))
