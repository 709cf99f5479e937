;; base^exponent modulo 2^32 by repeated squaring, and modulo m < 2^16 (where no product overflows).
(module
  (func (export "power") (param $base i32) (param $exponent i32) (result i32)
    (local $result i32)
    (local.set $result (i32.const 1))
    (loop $again
      (if (i32.and (local.get $exponent) (i32.const 1))
        (then (local.set $result (i32.mul (local.get $result) (local.get $base)))))
      (local.set $base (i32.mul (local.get $base) (local.get $base)))
      (local.tee $exponent (i32.shr_u (local.get $exponent) (i32.const 1)))
      (br_if $again))
    (local.get $result))

  (func (export "power_mod") (param $base i32) (param $exponent i32) (param $m i32) (result i32)
    (local $result i32)
    (local.set $base (i32.rem_u (local.get $base) (local.get $m)))
    (local.set $result (i32.rem_u (i32.const 1) (local.get $m)))
    (loop $again
      (if (i32.and (local.get $exponent) (i32.const 1))
        (then
          (local.set $result
            (i32.rem_u (i32.mul (local.get $result) (local.get $base)) (local.get $m)))))
      (local.set $base (i32.rem_u (i32.mul (local.get $base) (local.get $base)) (local.get $m)))
      (local.tee $exponent (i32.shr_u (local.get $exponent) (i32.const 1)))
      (br_if $again))
    (local.get $result)))
