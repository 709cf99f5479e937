;; The sieve of Eratosthenes over a byte per number, at address 0 (one page: numbers below 65536).
(module
  (memory (export "memory") 1)

  ;; how many primes are below n; marks every composite below n with 1
  (func (export "count_primes") (param $n i32) (result i32)
    (local $i i32) (local $multiple i32) (local $count i32)
    (local.set $i (i32.const 2))
    (block $done
      (loop $candidates
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (if (i32.eqz (i32.load8_u (local.get $i)))
          (then
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (local.set $multiple (i32.mul (local.get $i) (local.get $i)))
            (block $crossed_out
              (loop $multiples
                (br_if $crossed_out (i32.ge_u (local.get $multiple) (local.get $n)))
                (i32.store8 (local.get $multiple) (i32.const 1))
                (local.set $multiple (i32.add (local.get $multiple) (local.get $i)))
                (br $multiples)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $candidates)))
    (local.get $count))

  ;; whether i is a prime, after count_primes(n) with n > i >= 2
  (func (export "is_prime") (param $i i32) (result i32)
    (i32.eqz (i32.load8_u (local.get $i)))))
