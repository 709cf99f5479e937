;; The n-th Fibonacci number (modulo 2^32) by a loop: (a, b) <- (b, a + b), n times.
(module
  (func (export "fibonacci") (param $n i32) (result i32)
    (local $a i32) (local $b i32)
    (local.set $b (i32.const 1))
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $n)))
        ;; the old a + b waits on the operand stack while a is replaced
        (i32.add (local.get $a) (local.get $b))
        (local.set $a (local.get $b))
        (local.set $b)
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $again)))
    (local.get $a)))
