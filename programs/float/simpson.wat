;; Simpson's rule: the integral of 4 / (1 + x^2) from 0 to 1, which is pi, in n pairs of pieces; and its digits as an
;; integer, which traps when there are too many of them.
(module
  (func $f (param $x f64) (result f64)
    (f64.div (f64.const 4) (f64.add (f64.const 1) (f64.mul (local.get $x) (local.get $x)))))

  (func $pi (export "pi") (param $n i32) (result f64)
    (local $i i32) (local $h f64) (local $sum f64)
    (local.set $n (i32.shl (local.get $n) (i32.const 1)))
    (local.set $h (f64.div (f64.const 1) (f64.convert_i32_u (local.get $n))))
    (local.set $sum (f64.add (call $f (f64.const 0)) (call $f (f64.const 1))))
    (local.set $i (i32.const 1))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $sum (f64.add (local.get $sum) (f64.mul
          (f64.convert_i32_u (i32.add (i32.const 2) (i32.shl (i32.and (local.get $i) (i32.const 1)) (i32.const 1))))
          (call $f (f64.mul (f64.convert_i32_u (local.get $i)) (local.get $h))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (f64.div (f64.mul (local.get $sum) (local.get $h)) (f64.const 3)))

  (func (export "digits") (param $n i32) (param $scale f64) (result i32)
    (i32.trunc_f64_s (f64.nearest (f64.mul (call $pi (local.get $n)) (local.get $scale))))))
