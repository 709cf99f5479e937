;; Roots by Newton's method: x <- x - (x^n - a) / (n x^(n - 1)), until x does not change any more.
(module
  (func $power (param $x f64) (param $n i32) (result f64)
    (local $result f64)
    (local.set $result (f64.const 1))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $result (f64.mul (local.get $result) (local.get $x)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $result))

  ;; the n-th root of a > 0, n >= 1
  (func (export "root") (param $n i32) (param $a f64) (result f64)
    (local $x f64) (local $before f64) (local $power f64)
    (local.set $x (f64.max (local.get $a) (f64.const 1)))
    (loop $again
      (local.set $before (local.get $x))
      (local.set $power (call $power (local.get $x) (i32.sub (local.get $n) (i32.const 1))))
      (local.set $x (f64.sub (local.get $x) (f64.div
        (f64.sub (f64.mul (local.get $power) (local.get $x)) (local.get $a))
        (f64.mul (f64.convert_i32_s (local.get $n)) (local.get $power)))))
      ;; from above: it goes down until rounding is all that is left
      (br_if $again (f64.lt (local.get $x) (local.get $before))))
    (local.get $x)))
