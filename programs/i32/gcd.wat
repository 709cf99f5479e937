;; Euclid's algorithm, and the least common multiple from it.
(module
  (func $gcd (export "gcd") (param $a i32) (param $b i32) (result i32)
    (local $rest i32)
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $b)))
        (local.set $rest (i32.rem_u (local.get $a) (local.get $b)))
        (local.set $a (local.get $b))
        (local.set $b (local.get $rest))
        (br $again)))
    (local.get $a))

  ;; traps (division by zero) when both are 0
  (func (export "lcm") (param $a i32) (param $b i32) (result i32)
    (i32.mul
      (i32.div_u (local.get $a) (call $gcd (local.get $a) (local.get $b)))
      (local.get $b))))
