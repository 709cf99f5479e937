;; a * b + c of floats, rounded once: to nearest, ties to even. Operands and results are bit patterns in i64, of f32x2 two of
;; them. Every NaN that comes out is the canonical one. Where a or b is 0, infinite or NaN, or c is infinite or NaN, it is what
;; two instructions give.
;;
;; Product and c are integers with their leading bits at about the same place, and an exponent each. The one with the lesser
;; exponent is shifted to the right, and its last bit is set when ones are lost: they are lost only where the two are so far
;; apart that what is left of the difference begins high above that bit.
(module
  ;; x, shifted; the last bit is set if a one was lost
  (func $shifted (param $x i64) (param $n i64) (result i64)
    (local $y i64)
    (if (i64.gt_u (local.get $n) (i64.const 63)) (then (return (i64.extend_i32_u (i64.ne (local.get $x) (i64.const 0))))))
    (local.set $y (i64.shr_u (local.get $x) (local.get $n)))
    (i64.or
      (local.get $y)
      (i64.extend_i32_u (i64.ne (local.get $x) (i64.shl (local.get $y) (local.get $n))))))

  ;; the significand of a finite number without its sign, and its exponent, as if a subnormal number had a leading bit
  (func $parts (param $a i64) (param $precision i64) (result i64 i64)
    (local $e i64) (local $m i64)
    (local.set $e (i64.shr_u (local.get $a) (local.get $precision)))
    (if (i64.eqz (local.get $e))
      (then
        (local.set $e (i64.sub (i64.clz (local.get $a)) (i64.sub (i64.const 63) (local.get $precision))))
        (return
          (i64.shl (local.get $a) (local.get $e))
          (i64.sub (i64.const 1) (local.get $e)))))
    (local.set $m (i64.sub (local.get $e) (i64.const 1)))
    (i64.sub (local.get $a) (i64.shl (local.get $m) (local.get $precision)))
    (local.get $e))

  ;; the float with this sign that is nearest to x * 2^-63 * 2^(e - bias); the highest bit of x is 1
  (func $rounded (param $x i64) (param $e i64) (param $sign i64) (param $precision i64) (param $largest i64) (result i64)
    (local $n i64) (local $q i64) (local $rest i64)
    (local.set $n (i64.sub (i64.const 63) (local.get $precision)))
    (if (i64.lt_s (local.get $e) (i64.const 1))
      (then
        (local.set $x (call $shifted (local.get $x) (i64.sub (i64.const 1) (local.get $e))))
        (local.set $e (i64.const 1))))
    (if (i64.gt_s (local.get $e) (local.get $largest))
      (then (return (i64.or
        (local.get $sign)
        (i64.shl (i64.add (local.get $largest) (i64.const 1)) (local.get $precision))))))
    (local.set $q (i64.shr_u (local.get $x) (local.get $n)))
    ;; twice the rest and, where q is odd, a bit more, against twice a half
    (local.set $rest (i64.add
      (i64.shl (i64.sub (local.get $x) (i64.shl (local.get $q) (local.get $n))) (i64.const 1))
      (i64.and (local.get $q) (i64.const 1))))
    (local.set $q (i64.add
      (local.get $q)
      (i64.extend_i32_u (i64.gt_u (local.get $rest) (i64.shl (i64.const 1) (local.get $n))))))
    ;; the leading bit raises the exponent by one, as what rounding carries does
    (i64.add
      (local.get $sign)
      (i64.add (i64.shl (i64.sub (local.get $e) (i64.const 1)) (local.get $precision)) (local.get $q))))

  (func $f32.fma (param $a i64) (param $b i64) (param $c i64) (result i64)
    (local $x i64) (local $y i64) (local $z i64) (local $d i64) (local $e i64) (local $sign i64)
    (local.set $x (i64.and (local.get $a) (i64.const 0x7fffffff)))
    (local.set $y (i64.and (local.get $b) (i64.const 0x7fffffff)))
    (local.set $z (i64.and (local.get $c) (i64.const 0x7fffffff)))
    (if
      (i32.or
        (i64.ge_u (i64.sub (local.get $x) (i64.const 1)) (i64.const 0x7f7fffff))
        (i64.ge_u (i64.sub (local.get $y) (i64.const 1)) (i64.const 0x7f7fffff)))
      (then (return (i64.extend_i32_u (i32.reinterpret_f32 (f32.add
        (f32.mul
          (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a)))
          (f32.reinterpret_i32 (i32.wrap_i64 (local.get $b))))
        (f32.reinterpret_i32 (i32.wrap_i64 (local.get $c)))))))))
    (if (i64.ge_u (local.get $z) (i64.const 0x7f800000))
      (then (return (select
        (i64.const 0x7fc00000) (local.get $c) (i64.gt_u (local.get $z) (i64.const 0x7f800000))))))
    (local.set $sign (i64.and (i64.xor (local.get $a) (local.get $b)) (i64.const 0x80000000)))
    (call $parts (local.get $x) (i64.const 23))
    (local.set $e)
    (local.set $x)
    (call $parts (local.get $y) (i64.const 23))
    (local.set $d)
    (local.set $y)
    ;; the product: x * 2^(e - 314), x from 2^60 on
    (local.set $e (i64.add (local.get $e) (local.get $d)))
    (local.set $x (i64.shl (i64.mul (local.get $x) (local.get $y)) (i64.const 14)))
    ;; c: y * 2^(e - 314 - d)
    (local.set $y (i64.const 0))
    (if (i64.ne (local.get $z) (i64.const 0))
      (then
        (call $parts (local.get $z) (i64.const 23))
        (local.set $d)
        (local.set $y (i64.shl (i64.const 37)))
        (local.set $d (i64.sub (i64.sub (local.get $e) (local.get $d)) (i64.const 127)))
        (if (i64.ge_s (local.get $d) (i64.const 0))
          (then (local.set $y (call $shifted (local.get $y) (local.get $d))))
          (else
            (local.set $x (call $shifted (local.get $x) (i64.sub (i64.const 0) (local.get $d))))
            (local.set $e (i64.sub (local.get $e) (local.get $d)))))))
    (if (i64.eq (i64.and (local.get $c) (i64.const 0x80000000)) (local.get $sign))
      (then (local.set $x (i64.add (local.get $x) (local.get $y))))
      (else
        (local.set $x (i64.sub (local.get $x) (local.get $y)))
        (if (i64.eqz (local.get $x)) (then (return (i64.const 0))))
        (if (i64.lt_s (local.get $x) (i64.const 0))
          (then
            (local.set $x (i64.sub (i64.const 0) (local.get $x)))
            (local.set $sign (i64.xor (local.get $sign) (i64.const 0x80000000)))))))
    (local.set $d (i64.clz (local.get $x)))
    (call $rounded
      (i64.shl (local.get $x) (local.get $d))
      (i64.sub (i64.sub (local.get $e) (local.get $d)) (i64.const 124))
      (local.get $sign) (i64.const 23) (i64.const 254)))

  (func (export "f32x2.fma") (param $a i64) (param $b i64) (param $c i64) (result i64)
    (i64.or
      (call $f32.fma
        (i64.and (local.get $a) (i64.const 0xffffffff))
        (i64.and (local.get $b) (i64.const 0xffffffff))
        (i64.and (local.get $c) (i64.const 0xffffffff)))
      (i64.shl
        (call $f32.fma
          (i64.shr_u (local.get $a) (i64.const 32))
          (i64.shr_u (local.get $b) (i64.const 32))
          (i64.shr_u (local.get $c) (i64.const 32)))
        (i64.const 32))))

  ;; the same of 128 bits, high ones first; n is not 0
  (func $shifted_both (param $high i64) (param $low i64) (param $n i64) (result i64 i64)
    (if (i64.lt_u (local.get $n) (i64.const 64))
      (then (return
        (i64.shr_u (local.get $high) (local.get $n))
        (i64.or
          (call $shifted (local.get $low) (local.get $n))
          (i64.shl (local.get $high) (i64.sub (i64.const 64) (local.get $n)))))))
    (i64.const 0)
    (i64.or
      (call $shifted (local.get $high) (i64.sub (local.get $n) (i64.const 64)))
      (i64.extend_i32_u (i64.ne (local.get $low) (i64.const 0)))))

  (func (export "f64x1.fma") (param $a i64) (param $b i64) (param $c i64) (result i64)
    (local $x i64) (local $y i64) (local $z i64) (local $d i64) (local $e i64) (local $sign i64)
    (local $high i64) (local $low i64) (local $middle i64)
    (local.set $x (i64.and (local.get $a) (i64.const 0x7fffffffffffffff)))
    (local.set $y (i64.and (local.get $b) (i64.const 0x7fffffffffffffff)))
    (local.set $z (i64.and (local.get $c) (i64.const 0x7fffffffffffffff)))
    (if
      (i32.or
        (i64.ge_u (i64.sub (local.get $x) (i64.const 1)) (i64.const 0x7fefffffffffffff))
        (i64.ge_u (i64.sub (local.get $y) (i64.const 1)) (i64.const 0x7fefffffffffffff)))
      (then (return (i64.reinterpret_f64 (f64.add
        (f64.mul (f64.reinterpret_i64 (local.get $a)) (f64.reinterpret_i64 (local.get $b)))
        (f64.reinterpret_i64 (local.get $c)))))))
    (if (i64.ge_u (local.get $z) (i64.const 0x7ff0000000000000))
      (then (return (select
        (i64.const 0x7ff8000000000000) (local.get $c) (i64.gt_u (local.get $z) (i64.const 0x7ff0000000000000))))))
    (local.set $sign (i64.and (i64.xor (local.get $a) (local.get $b)) (i64.const 0x8000000000000000)))
    (call $parts (local.get $x) (i64.const 52))
    (local.set $e)
    (local.set $x)
    (call $parts (local.get $y) (i64.const 52))
    (local.set $d)
    (local.set $y)
    ;; the product: (high, low) * 2^(e - 2170), from 2^124 on
    (local.set $e (i64.add (local.get $e) (local.get $d)))
    (local.set $middle (i64.add
      (i64.mul (i64.shr_u (local.get $x) (i64.const 32)) (i64.and (local.get $y) (i64.const 0xffffffff)))
      (i64.shr_u
        (i64.mul (i64.and (local.get $x) (i64.const 0xffffffff)) (i64.and (local.get $y) (i64.const 0xffffffff)))
        (i64.const 32))))
    (local.set $high (i64.add
      (i64.add
        (i64.mul (i64.shr_u (local.get $x) (i64.const 32)) (i64.shr_u (local.get $y) (i64.const 32)))
        (i64.shr_u (local.get $middle) (i64.const 32)))
      (i64.shr_u
        (i64.add
          (i64.mul (i64.and (local.get $x) (i64.const 0xffffffff)) (i64.shr_u (local.get $y) (i64.const 32)))
          (i64.and (local.get $middle) (i64.const 0xffffffff)))
        (i64.const 32))))
    (local.set $low (i64.mul (local.get $x) (local.get $y)))
    (local.set $high (i64.or
      (i64.shl (local.get $high) (i64.const 20))
      (i64.shr_u (local.get $low) (i64.const 44))))
    (local.set $low (i64.shl (local.get $low) (i64.const 20)))
    ;; c: (x, y) * 2^(e - 2170 - d)
    (local.set $x (i64.const 0))
    (local.set $y (i64.const 0))
    (if (i64.ne (local.get $z) (i64.const 0))
      (then
        (call $parts (local.get $z) (i64.const 52))
        (local.set $d)
        (local.set $x (i64.shl (i64.const 8)))
        (local.set $d (i64.sub (i64.sub (local.get $e) (local.get $d)) (i64.const 1023)))
        (if (i64.gt_s (local.get $d) (i64.const 0))
          (then
            (call $shifted_both (local.get $x) (local.get $y) (local.get $d))
            (local.set $y)
            (local.set $x)))
        (if (i64.lt_s (local.get $d) (i64.const 0))
          (then
            (call $shifted_both (local.get $high) (local.get $low) (i64.sub (i64.const 0) (local.get $d)))
            (local.set $low)
            (local.set $high)
            (local.set $e (i64.sub (local.get $e) (local.get $d)))))))
    (if (i64.eq (i64.and (local.get $c) (i64.const 0x8000000000000000)) (local.get $sign))
      (then
        (local.set $low (i64.add (local.get $low) (local.get $y)))
        (local.set $high (i64.add
          (i64.add (local.get $high) (local.get $x))
          (i64.extend_i32_u (i64.lt_u (local.get $low) (local.get $y))))))
      (else
        (local.set $high (i64.sub
          (i64.sub (local.get $high) (local.get $x))
          (i64.extend_i32_u (i64.lt_u (local.get $low) (local.get $y)))))
        (local.set $low (i64.sub (local.get $low) (local.get $y)))
        (if (i64.lt_s (local.get $high) (i64.const 0))
          (then
            (local.set $low (i64.sub (i64.const 0) (local.get $low)))
            (local.set $high (i64.sub
              (i64.extend_i32_u (i64.eqz (local.get $low)))
              (i64.add (local.get $high) (i64.const 1))))
            (local.set $sign (i64.xor (local.get $sign) (i64.const 0x8000000000000000)))))
        (if (i64.eqz (local.get $high))
          (then
            (if (i64.eqz (local.get $low)) (then (return (i64.const 0))))
            (local.set $high (local.get $low))
            (local.set $low (i64.const 0))
            (local.set $e (i64.sub (local.get $e) (i64.const 64)))))))
    (local.set $d (i64.clz (local.get $high)))
    (if (i64.ne (local.get $d) (i64.const 0))
      (then
        (local.set $high (i64.or
          (i64.shl (local.get $high) (local.get $d))
          (i64.shr_u (local.get $low) (i64.sub (i64.const 64) (local.get $d)))))
        (local.set $low (i64.shl (local.get $low) (local.get $d)))))
    (call $rounded
      (i64.or (local.get $high) (i64.extend_i32_u (i64.ne (local.get $low) (i64.const 0))))
      (i64.sub (i64.sub (local.get $e) (local.get $d)) (i64.const 1020))
      (local.get $sign) (i64.const 52) (i64.const 2046)))
)
