;; sum(n) = 1 + 2 + ... + n, by a loop that counts down (modulo 2^32).
(module
  (func (export "sum") (param $n i32) (result i32)
    (local $total i32)
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $total (i32.add (local.get $total) (local.get $n)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $again)))
    (local.get $total)))
