;; f64 arithmetic on bit patterns: sign, 11 bits of exponent, 52 of fraction, as i64. Rounding is to nearest, ties to
;; even; every NaN that comes out is 0x7ff8000000000000.
;;
;; Usual operands come first. A rounded result is put together as (exponent << 52) + significand: the significand's
;; hidden bit and what rounding carries out of the fraction raise the exponent by themselves, up to infinity.
(module
  ;; Operands of one sign: the significand of the smaller one, shifted, is added to the packed larger one; what it
  ;; carries out of the fraction raises the exponent, and the fraction is halved then. Operands of different signs: the
  ;; negated significand is shifted and added. s is the sum so far, r the bits shifted out of it, left-aligned.
  (func $f64.add (export "f64.add") (param $a i64) (param $b i64) (result i64)
    (local $x i64) (local $y i64) (local $p i64) (local $q i64) (local $d i64) (local $m i64) (local $s i64)
    (local $r i64)
    ;; sign and exponent
    (local.set $x (i64.shr_u (local.get $a) (i64.const 52)))
    (local.set $y (i64.shr_u (local.get $b) (i64.const 52)))
    (block $special
      (block $round
        (block $carry
          (if (i64.lt_u (i64.xor (local.get $x) (local.get $y)) (i64.const 2048))
            (then
              (if (i64.gt_u (local.get $x) (local.get $y))
                (then
                  (br_if $special (i64.eq (local.get $x) (i64.const 2047)))
                  (br_if $special (i64.eq (local.get $x) (i64.const 4095)))
                  (local.set $d (i64.sub (local.get $x) (local.get $y)))
                  (if (i64.gt_u (local.get $d) (i64.const 54)) (then (return (local.get $a))))
                  (local.set $m (i64.or
                    (i64.and (local.get $b) (i64.const 0xfffffffffffff))
                    (i64.const 0x10000000000000)))
                  (block $normal
                    (block $subnormal
                      (br_if $subnormal (i64.eqz (local.get $y)))
                      (br_if $normal (i64.ne (local.get $y) (i64.const 2048))))
                    (local.set $m (i64.shl (i64.xor (local.get $m) (i64.const 0x10000000000000)) (i64.const 1))))
                  (local.set $r (i64.shl (local.get $m) (i64.sub (i64.const 64) (local.get $d))))
                  (local.set $s (i64.add (local.get $a) (i64.shr_u (local.get $m) (local.get $d))))
                  (local.set $y (i64.shr_u (local.get $s) (i64.const 52)))
                  (br_if $round (i64.eq (local.get $x) (local.get $y)))
                  (br $carry)))
              (if (i64.lt_u (local.get $x) (local.get $y))
                (then
                  (br_if $special (i64.eq (local.get $y) (i64.const 2047)))
                  (br_if $special (i64.eq (local.get $y) (i64.const 4095)))
                  (local.set $d (i64.sub (local.get $y) (local.get $x)))
                  (if (i64.gt_u (local.get $d) (i64.const 54)) (then (return (local.get $b))))
                  (local.set $m (i64.or
                    (i64.and (local.get $a) (i64.const 0xfffffffffffff))
                    (i64.const 0x10000000000000)))
                  (block $normal
                    (block $subnormal
                      (br_if $subnormal (i64.eqz (local.get $x)))
                      (br_if $normal (i64.ne (local.get $x) (i64.const 2048))))
                    (local.set $m (i64.shl (i64.xor (local.get $m) (i64.const 0x10000000000000)) (i64.const 1))))
                  (local.set $r (i64.shl (local.get $m) (i64.sub (i64.const 64) (local.get $d))))
                  (local.set $s (i64.add (local.get $b) (i64.shr_u (local.get $m) (local.get $d))))
                  (local.set $x (i64.shr_u (local.get $s) (i64.const 52)))
                  (br_if $round (i64.eq (local.get $x) (local.get $y)))
                  (local.set $y (local.get $x))
                  (br $carry)))
              ;; equal exponents: a mean with the next exponent, at most one bit is lost
              (local.set $p (i64.and (local.get $x) (i64.const 2047)))
              (if (i64.eqz (local.get $p))
                (then (return (i64.add (local.get $a) (i64.and (local.get $b) (i64.const 0xfffffffffffff))))))
              (if (i64.ge_u (local.get $p) (i64.const 2046))
                (then
                  (br_if $special (i64.eq (local.get $p) (i64.const 2047)))
                  (return (i64.shl (i64.add (local.get $x) (i64.const 1)) (i64.const 52)))))
              (local.set $d (i64.sub (local.get $b) (local.get $a)))
              (local.set $s (i64.add
                (local.get $a)
                (i64.add (i64.shr_s (local.get $d) (i64.const 1)) (i64.const 0x10000000000000))))
              (if (i64.eqz (i64.and (local.get $d) (i64.const 1))) (then (return (local.get $s))))
              (return (i64.add (local.get $s) (i64.and (local.get $s) (i64.const 1))))))
          (local.set $p (i64.and (local.get $x) (i64.const 2047)))
          (local.set $q (i64.and (local.get $y) (i64.const 2047)))
          (if (i64.eq (local.get $p) (local.get $q))
            (then
              (if (i64.eq (local.get $p) (i64.const 2047)) (then (return (i64.const 0x7ff8000000000000))))
              (local.set $m (i64.sub
                (i64.and (local.get $a) (i64.const 0xfffffffffffff))
                (i64.and (local.get $b) (i64.const 0xfffffffffffff))))
              (if (i64.eqz (local.get $m)) (then (return (i64.const 0))))
              (if (i64.lt_s (local.get $m) (i64.const 0))
                (then
                  (local.set $m (i64.sub (i64.const 0) (local.get $m)))
                  (local.set $x (local.get $y))))
              (if (i64.eqz (local.get $p))
                (then (return (i64.add (i64.shl (local.get $x) (i64.const 52)) (local.get $m)))))
              ;; normalise, but not below the least exponent
              (local.set $d (i64.sub (i64.clz (local.get $m)) (i64.const 11)))
              (if (i64.ge_u (local.get $d) (local.get $p))
                (then (local.set $d (i64.sub (local.get $p) (i64.const 1)))))
              (return
                (i64.add
                  (i64.shl (i64.sub (i64.sub (local.get $x) (i64.const 1)) (local.get $d)) (i64.const 52))
                  (i64.shl (local.get $m) (local.get $d))))))
          (if (i64.gt_u (local.get $p) (local.get $q))
            (then
              (br_if $special (i64.eq (local.get $p) (i64.const 2047)))
              (local.set $d (i64.sub (local.get $p) (local.get $q)))
              (if (i64.gt_u (local.get $d) (i64.const 55)) (then (return (local.get $a))))
              (local.set $m (i64.sub
                (i64.const 0xfff0000000000000)
                (i64.and (local.get $b) (i64.const 0xfffffffffffff))))
              (if (i64.eqz (local.get $q))
                (then (local.set $m (i64.shl (i64.add (local.get $m) (i64.const 0x10000000000000)) (i64.const 1)))))
              (local.set $r (i64.shl (local.get $m) (i64.sub (i64.const 64) (local.get $d))))
              (local.set $s (i64.add (local.get $a) (i64.shr_s (local.get $m) (local.get $d))))
              (br_if $round (i64.eq (i64.shr_u (local.get $s) (i64.const 52)) (local.get $x))))
            (else
              (br_if $special (i64.eq (local.get $q) (i64.const 2047)))
              (local.set $d (i64.sub (local.get $q) (local.get $p)))
              (if (i64.gt_u (local.get $d) (i64.const 55)) (then (return (local.get $b))))
              (local.set $m (i64.sub
                (i64.const 0xfff0000000000000)
                (i64.and (local.get $a) (i64.const 0xfffffffffffff))))
              (if (i64.eqz (local.get $p))
                (then (local.set $m (i64.shl (i64.add (local.get $m) (i64.const 0x10000000000000)) (i64.const 1)))))
              (local.set $r (i64.shl (local.get $m) (i64.sub (i64.const 64) (local.get $d))))
              (local.set $s (i64.add (local.get $b) (i64.shr_s (local.get $m) (local.get $d))))
              (br_if $round (i64.eq (i64.shr_u (local.get $s) (i64.const 52)) (local.get $y)))
              (local.set $x (local.get $y))
              (local.set $p (local.get $q))))
          ;; the difference borrowed from the exponent: its leading bits are gone
          (if (i64.eq (local.get $p) (i64.const 1)) (then (return (local.get $s))))
          (if (i64.eq (local.get $d) (i64.const 1))
            (then
              ;; any number of them, but nothing is lost
              (local.set $m (i64.or
                (i64.shl (i64.and (local.get $s) (i64.const 0xfffffffffffff)) (i64.const 1))
                (i64.shr_u (local.get $r) (i64.const 63))))
              (local.set $d (i64.sub (i64.clz (local.get $m)) (i64.const 11)))
              (local.set $p (i64.sub (local.get $p) (i64.const 2)))
              (if (i64.gt_u (local.get $d) (local.get $p)) (then (local.set $d (local.get $p))))
              (return
                (i64.add
                  (i64.shl (i64.sub (i64.sub (local.get $x) (i64.const 2)) (local.get $d)) (i64.const 52))
                  (i64.shl (local.get $m) (local.get $d))))))
          ;; one of them
          (local.set $s (i64.add
            (i64.add (local.get $s) (i64.or (local.get $s) (i64.const 0xfff0000000000000)))
            (i64.shr_u (local.get $r) (i64.const 63))))
          (local.set $r (i64.shl (local.get $r) (i64.const 1)))
          (br $round))
        ;; y: the exponent that the carry has raised
        (local.set $m (i64.and (local.get $s) (i64.const 0xfffffffffffff)))
        (local.set $s (i64.add (i64.shl (local.get $y) (i64.const 52)) (i64.shr_u (local.get $m) (i64.const 1))))
        (if (i64.eq (i64.and (local.get $y) (i64.const 2047)) (i64.const 2047))
          (then (return (i64.shl (local.get $y) (i64.const 52)))))
        (if (i64.eqz (i64.and (local.get $m) (i64.const 1))) (then (return (local.get $s))))
        (if (i64.eqz (local.get $r)) (then (return (i64.add (local.get $s) (i64.and (local.get $s) (i64.const 1))))))
        (return (i64.add (local.get $s) (i64.const 1))))
      (if (i64.lt_u (local.get $r) (i64.const 0x8000000000000000)) (then (return (local.get $s))))
      (if (i64.gt_u (local.get $r) (i64.const 0x8000000000000000))
        (then (return (i64.add (local.get $s) (i64.const 1)))))
      (return (i64.add (local.get $s) (i64.and (local.get $s) (i64.const 1)))))
    ;; one operand at least is infinite or not a number; infinities of different signs do not come here
    (if (i64.gt_u (i64.shl (local.get $a) (i64.const 1)) (i64.const 0xffe0000000000000))
      (then (return (i64.const 0x7ff8000000000000))))
    (if (i64.gt_u (i64.shl (local.get $b) (i64.const 1)) (i64.const 0xffe0000000000000))
      (then (return (i64.const 0x7ff8000000000000))))
    (if (i64.eq (i64.shl (local.get $a) (i64.const 1)) (i64.const 0xffe0000000000000)) (then (return (local.get $a))))
    (local.get $b))

  (func $f64.sub (export "f64.sub") (param $a i64) (param $b i64) (result i64)
    (call $f64.add (local.get $a) (i64.xor (local.get $b) (i64.const 0x8000000000000000))))

  ;; The product of the leading 32 bits of both significands and of all other pairs of parts but the last one has 63 or
  ;; 64 bits, of which the first 53 are the result's: it is less than 2 below the exact product, so the bits behind
  ;; them decide the rounding unless they are as close as that to a half. Only then, or when the result may be
  ;; subnormal or infinite, the product modulo 2^64 says what exactly is behind.
  (func $f64.mul (export "f64.mul") (param $a i64) (param $b i64) (result i64)
    (local $x i64) (local $y i64) (local $p i64) (local $q i64) (local $h i64) (local $k i64) (local $m i64)
    (local $s i64)
    (local $g i64) (local $half i64)
    (local.set $x (i64.shr_u (local.get $a) (i64.const 52)))
    (local.set $y (i64.shr_u (local.get $b) (i64.const 52)))
    (local.set $p (i64.and (local.get $x) (i64.const 2047)))
    (local.set $q (i64.and (local.get $y) (i64.const 2047)))
    (block $normal
      (block $special
        (br_if $special (i64.eqz (local.get $p)))
        (br_if $special (i64.eqz (local.get $q)))
        (br_if $special (i64.eq (local.get $p) (i64.const 2047)))
        (br_if $normal (i64.ne (local.get $q) (i64.const 2047))))
      (local.set $s (i64.and (i64.xor (local.get $a) (local.get $b)) (i64.const 0x8000000000000000)))
      (local.set $h (i64.shl (local.get $a) (i64.const 1)))
      (local.set $k (i64.shl (local.get $b) (i64.const 1)))
      (if (i32.or (i64.eq (local.get $p) (i64.const 2047)) (i64.eq (local.get $q) (i64.const 2047)))
        (then
          (if (i64.gt_u (local.get $h) (i64.const 0xffe0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
          (if (i64.gt_u (local.get $k) (i64.const 0xffe0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
          (if (i32.or (i64.eqz (local.get $h)) (i64.eqz (local.get $k)))
            (then (return (i64.const 0x7ff8000000000000))))
          (return (i64.or (local.get $s) (i64.const 0x7ff0000000000000)))))
      (if (i32.or (i64.eqz (local.get $h)) (i64.eqz (local.get $k))) (then (return (local.get $s))))
      ;; a subnormal significand, shifted until its leading bit is where the hidden one would be
      (if (i64.eqz (local.get $p))
        (then
          (local.set $h (i64.sub (i64.clz (i64.and (local.get $a) (i64.const 0xfffffffffffff))) (i64.const 11)))
          (local.set $a (i64.or
            (i64.and (local.get $a) (i64.const 0x8000000000000000))
            (i64.shl (local.get $a) (local.get $h))))
          (local.set $p (i64.sub (i64.const 1) (local.get $h)))
          (local.set $x (i64.add (local.get $x) (local.get $p)))))
      (if (i64.eqz (local.get $q))
        (then
          (local.set $h (i64.sub (i64.clz (i64.and (local.get $b) (i64.const 0xfffffffffffff))) (i64.const 11)))
          (local.set $b (i64.or
            (i64.and (local.get $b) (i64.const 0x8000000000000000))
            (i64.shl (local.get $b) (local.get $h))))
          (local.set $q (i64.sub (i64.const 1) (local.get $h)))
          (local.set $y (i64.add (local.get $y) (local.get $q))))))
    (local.set $h (i64.or
      (i64.and (i64.shr_u (local.get $a) (i64.const 21)) (i64.const 0x7fffffff))
      (i64.const 0x80000000)))
    (local.set $k (i64.or
      (i64.and (i64.shr_u (local.get $b) (i64.const 21)) (i64.const 0x7fffffff))
      (i64.const 0x80000000)))
    (local.set $m (i64.add
      (i64.mul (local.get $h) (local.get $k))
      (i64.shr_u
        (i64.add
          (i64.mul (i64.and (local.get $a) (i64.const 0x1fffff)) (local.get $k))
          (i64.mul (i64.and (local.get $b) (i64.const 0x1fffff)) (local.get $h)))
        (i64.const 21))))
    (local.set $p (i64.add (local.get $p) (local.get $q)))
    (block $exact
      (block $range
        (br_if $range (i64.lt_s (local.get $p) (i64.const 1024)))
        (br_if $range (i64.gt_s (local.get $p) (i64.const 3068)))
        (local.set $x (i64.sub (i64.add (local.get $x) (local.get $y)) (i64.const 1024)))
        (if (i64.lt_s (local.get $m) (i64.const 0))
          (then
            (local.set $s (i64.add
              (i64.shl (i64.add (local.get $x) (i64.const 1)) (i64.const 52))
              (i64.shr_u (local.get $m) (i64.const 11))))
            (local.set $g (i64.and (local.get $m) (i64.const 0x7ff)))
            (if (i64.lt_u (local.get $g) (i64.const 0x3ff)) (then (return (local.get $s))))
            (if (i64.gt_u (local.get $g) (i64.const 0x400)) (then (return (i64.add (local.get $s) (i64.const 1)))))
            (local.set $half (i64.const 0x400)))
          (else
            (local.set $s (i64.add (i64.shl (local.get $x) (i64.const 52)) (i64.shr_u (local.get $m) (i64.const 10))))
            (local.set $g (i64.and (local.get $m) (i64.const 0x3ff)))
            (if (i64.lt_u (local.get $g) (i64.const 0x1ff)) (then (return (local.get $s))))
            (if (i64.gt_u (local.get $g) (i64.const 0x200)) (then (return (i64.add (local.get $s) (i64.const 1)))))
            (local.set $half (i64.const 0x200))))
        (br $exact))
      ;; x: the product modulo 2^64
      (local.set $x (i64.mul
        (i64.or (i64.and (local.get $a) (i64.const 0xfffffffffffff)) (i64.const 0x10000000000000))
        (i64.or (i64.and (local.get $b) (i64.const 0xfffffffffffff)) (i64.const 0x10000000000000))))
      (local.set $m (i64.add
        (local.get $m)
        (i64.and (i64.sub (i64.shr_u (local.get $x) (i64.const 42)) (local.get $m)) (i64.const 3))))
      (local.set $p (i64.sub (local.get $p) (i64.const 1022)))
      (if (i64.ge_s (local.get $m) (i64.const 0))
        (then
          (local.set $m (i64.shl (local.get $m) (i64.const 1)))
          (local.set $p (i64.sub (local.get $p) (i64.const 1)))))
      (if (i64.ne (i64.shl (local.get $x) (i64.const 22)) (i64.const 0))
        (then (local.set $m (i64.or (local.get $m) (i64.const 1)))))
      (return
        (call $f64.pack
          (i64.shl
            (i64.xor (i64.shr_u (local.get $a) (i64.const 63)) (i64.shr_u (local.get $b) (i64.const 63)))
            (i64.const 63))
          (local.get $p)
          (local.get $m))))
    (local.set $x (i64.mul
      (i64.or (i64.and (local.get $a) (i64.const 0xfffffffffffff)) (i64.const 0x10000000000000))
      (i64.or (i64.and (local.get $b) (i64.const 0xfffffffffffff)) (i64.const 0x10000000000000))))
    (local.set $g (i64.add
      (local.get $g)
      (i64.and (i64.sub (i64.shr_u (local.get $x) (i64.const 42)) (local.get $m)) (i64.const 3))))
    (if (i64.lt_u (local.get $g) (local.get $half)) (then (return (local.get $s))))
    (if (i32.and (i64.eq (local.get $g) (local.get $half)) (i64.eqz (i64.shl (local.get $x) (i64.const 22))))
      (then (return (i64.add (local.get $s) (i64.and (local.get $s) (i64.const 1))))))
    (i64.add (local.get $s) (i64.const 1)))

  ;; The quotient of the significands in four digits, of 16 and three times 14 bits: u / t, with the leading bits u of
  ;; what is left of the dividend and the leading 16 bits of the divisor, rounded up to t, never exceeds the true digit,
  ;; and leaves less than 6 divisors. The last digit leaves less than 4, and only where that matters they are found out.
  (func $f64.div (export "f64.div") (param $a i64) (param $b i64) (result i64)
    (local $x i64) (local $y i64) (local $p i64) (local $q i64) (local $h i64) (local $k i64) (local $s i64)
    (local $g i64)
    (local $half i64) (local $t i32) (local $d i32) (local $w i32)
    (local.set $x (i64.shr_u (local.get $a) (i64.const 52)))
    (local.set $y (i64.shr_u (local.get $b) (i64.const 52)))
    (local.set $p (i64.and (local.get $x) (i64.const 2047)))
    (local.set $q (i64.and (local.get $y) (i64.const 2047)))
    (block $normal
      (block $special
        (br_if $special (i64.eqz (local.get $p)))
        (br_if $special (i64.eqz (local.get $q)))
        (br_if $special (i64.eq (local.get $p) (i64.const 2047)))
        (br_if $normal (i64.ne (local.get $q) (i64.const 2047))))
      (local.set $s (i64.and (i64.xor (local.get $a) (local.get $b)) (i64.const 0x8000000000000000)))
      (local.set $h (i64.shl (local.get $a) (i64.const 1)))
      (local.set $k (i64.shl (local.get $b) (i64.const 1)))
      (if (i64.gt_u (local.get $h) (i64.const 0xffe0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
      (if (i64.gt_u (local.get $k) (i64.const 0xffe0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
      (if (i64.eq (local.get $p) (i64.const 2047))
        (then
          (if (i64.eq (local.get $q) (i64.const 2047)) (then (return (i64.const 0x7ff8000000000000))))
          (return (i64.or (local.get $s) (i64.const 0x7ff0000000000000)))))
      (if (i64.eqz (local.get $k))
        (then
          (if (i64.eqz (local.get $h)) (then (return (i64.const 0x7ff8000000000000))))
          (return (i64.or (local.get $s) (i64.const 0x7ff0000000000000)))))
      (if (i32.or (i64.eqz (local.get $h)) (i64.eq (local.get $q) (i64.const 2047))) (then (return (local.get $s))))
      (if (i64.eqz (local.get $p))
        (then
          (local.set $h (i64.sub (i64.clz (i64.and (local.get $a) (i64.const 0xfffffffffffff))) (i64.const 11)))
          (local.set $a (i64.or
            (i64.and (local.get $a) (i64.const 0x8000000000000000))
            (i64.shl (local.get $a) (local.get $h))))
          (local.set $p (i64.sub (i64.const 1) (local.get $h)))
          (local.set $x (i64.add (local.get $x) (local.get $p)))))
      (if (i64.eqz (local.get $q))
        (then
          (local.set $h (i64.sub (i64.clz (i64.and (local.get $b) (i64.const 0xfffffffffffff))) (i64.const 11)))
          (local.set $b (i64.or
            (i64.and (local.get $b) (i64.const 0x8000000000000000))
            (i64.shl (local.get $b) (local.get $h))))
          (local.set $q (i64.sub (i64.const 1) (local.get $h)))
          (local.set $y (i64.add (local.get $y) (local.get $q))))))
    (local.set $h (i64.or (i64.and (local.get $a) (i64.const 0xfffffffffffff)) (i64.const 0x10000000000000)))
    (local.set $k (i64.or (i64.and (local.get $b) (i64.const 0xfffffffffffff)) (i64.const 0x10000000000000)))
    (local.set $t (i32.add (i32.wrap_i64 (i64.shr_u (local.get $k) (i64.const 37))) (i32.const 1)))
    (local.set $d (i32.div_u (i32.wrap_i64 (i64.shr_u (local.get $h) (i64.const 21))) (local.get $t)))
    (local.set $h (i64.sub
      (i64.shl (local.get $h) (i64.const 16))
      (i64.mul (local.get $k) (i64.extend_i32_u (local.get $d)))))
    (local.set $w (i32.div_u (i32.wrap_i64 (i64.shr_u (local.get $h) (i64.const 23))) (local.get $t)))
    (local.set $h (i64.sub
      (i64.shl (local.get $h) (i64.const 14))
      (i64.mul (local.get $k) (i64.extend_i32_u (local.get $w)))))
    (local.set $d (i32.add (i32.shl (local.get $d) (i32.const 14)) (local.get $w)))
    (local.set $w (i32.div_u (i32.wrap_i64 (i64.shr_u (local.get $h) (i64.const 23))) (local.get $t)))
    (local.set $h (i64.sub
      (i64.shl (local.get $h) (i64.const 14))
      (i64.mul (local.get $k) (i64.extend_i32_u (local.get $w)))))
    (local.set $t (i32.div_u (i32.wrap_i64 (i64.shr_u (local.get $h) (i64.const 23))) (local.get $t)))
    (local.set $w (i32.add (i32.shl (local.get $w) (i32.const 14)) (local.get $t)))
    ;; 58 or 59 bits
    (local.set $s (i64.add
      (i64.shl (i64.extend_i32_u (local.get $d)) (i64.const 28))
      (i64.extend_i32_u (local.get $w))))
    (local.set $p (i64.sub (i64.add (local.get $p) (i64.const 1023)) (local.get $q)))
    (block $exact
      (block $range
        (br_if $range (i64.lt_s (local.get $p) (i64.const 2)))
        (br_if $range (i64.gt_s (local.get $p) (i64.const 2046)))
        (local.set $x (i64.sub (i64.add (local.get $x) (i64.const 5117)) (local.get $y)))
        (if (i64.ge_u (local.get $s) (i64.const 0x400000000000000))
          (then
            (local.set $g (i64.and (local.get $s) (i64.const 63)))
            (local.set $s (i64.add
              (i64.shl (i64.add (local.get $x) (i64.const 1)) (i64.const 52))
              (i64.shr_u (local.get $s) (i64.const 6))))
            (if (i64.lt_u (local.get $g) (i64.const 29)) (then (return (local.get $s))))
            (if (i64.gt_u (local.get $g) (i64.const 32)) (then (return (i64.add (local.get $s) (i64.const 1)))))
            (local.set $half (i64.const 32)))
          (else
            (local.set $g (i64.and (local.get $s) (i64.const 31)))
            (local.set $s (i64.add (i64.shl (local.get $x) (i64.const 52)) (i64.shr_u (local.get $s) (i64.const 5))))
            (if (i64.lt_u (local.get $g) (i64.const 13)) (then (return (local.get $s))))
            (if (i64.gt_u (local.get $g) (i64.const 16)) (then (return (i64.add (local.get $s) (i64.const 1)))))
            (local.set $half (i64.const 16))))
        (br $exact))
      (local.set $h (i64.sub
        (i64.shl (local.get $h) (i64.const 14))
        (i64.mul (local.get $k) (i64.extend_i32_u (local.get $t)))))
      (block $done
        (loop $correct
          (br_if $done (i64.lt_u (local.get $h) (local.get $k)))
          (local.set $h (i64.sub (local.get $h) (local.get $k)))
          (local.set $s (i64.add (local.get $s) (i64.const 1)))
          (br $correct)))
      (if (i64.ge_u (local.get $s) (i64.const 0x400000000000000))
        (then (local.set $s (i64.shl (local.get $s) (i64.const 5))))
        (else
          (local.set $s (i64.shl (local.get $s) (i64.const 6)))
          (local.set $p (i64.sub (local.get $p) (i64.const 1)))))
      (if (i64.ne (local.get $h) (i64.const 0)) (then (local.set $s (i64.or (local.get $s) (i64.const 1)))))
      (return
        (call $f64.pack
          (i64.and (i64.xor (local.get $a) (local.get $b)) (i64.const 0x8000000000000000))
          (local.get $p)
          (local.get $s))))
    (local.set $h (i64.sub
      (i64.shl (local.get $h) (i64.const 14))
      (i64.mul (local.get $k) (i64.extend_i32_u (local.get $t)))))
    (block $done
      (loop $correct
        (br_if $done (i64.lt_u (local.get $h) (local.get $k)))
        (local.set $h (i64.sub (local.get $h) (local.get $k)))
        (local.set $g (i64.add (local.get $g) (i64.const 1)))
        (br $correct)))
    (if (i64.lt_u (local.get $g) (local.get $half)) (then (return (local.get $s))))
    (if (i32.and (i64.eq (local.get $g) (local.get $half)) (i64.eqz (local.get $h)))
      (then (return (i64.add (local.get $s) (i64.and (local.get $s) (i64.const 1))))))
    (i64.add (local.get $s) (i64.const 1)))

  ;; m is the significand as a number of 63 or 64 bits, with an even exponent. The root of its leading 32 bits by two
  ;; steps of Heron's method from a straight line (error below 5%, then 1/800, then below 1): 16 bits, less one so that
  ;; it is not too large. From then on a digit is u / t, what is left of m over the leading bits of the root, rounded
  ;; up: 15, 12 and 13 bits more. The root r of 59 bits is less than 3 below the true one; if that leaves two results,
  ;; the square of the number half-way between them decides. (That one is never the root itself.)
  (func $f64.sqrt (export "f64.sqrt") (param $a i64) (result i64)
    (local $p i64) (local $m i64) (local $r i64) (local $h i64) (local $g i64) (local $x i32) (local $t i32)
    (local $s i32)
    (local $d i32)
    (local.set $p (i64.shr_u (local.get $a) (i64.const 52)))
    (block $normal
      (block $special
        (br_if $special (i64.eqz (local.get $p)))
        (br_if $normal (i64.lt_u (local.get $p) (i64.const 2047))))
      (if (i64.eqz (i64.shl (local.get $a) (i64.const 1))) (then (return (local.get $a))))
      (if (i64.eq (local.get $a) (i64.const 0x7ff0000000000000)) (then (return (local.get $a))))
      (if (i64.ge_u (local.get $a) (i64.const 0x7ff0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
      (local.set $h (i64.sub (i64.clz (local.get $a)) (i64.const 11)))
      (local.set $a (i64.shl (local.get $a) (local.get $h)))
      (local.set $p (i64.sub (i64.const 1) (local.get $h))))
    (local.set $m (i64.shl
      (i64.or (i64.and (local.get $a) (i64.const 0xfffffffffffff)) (i64.const 0x10000000000000))
      (i64.sub (i64.const 11) (i64.and (local.get $p) (i64.const 1)))))
    (local.set $x (i32.wrap_i64 (i64.shr_u (local.get $m) (i64.const 32))))
    (local.set $t (i32.add (i32.div_u (local.get $x) (i32.const 98304)) (i32.const 23210)))
    (local.set $t (i32.shr_u (i32.add (local.get $t) (i32.div_u (local.get $x) (local.get $t))) (i32.const 1)))
    (local.set $t (i32.shr_u (i32.add (local.get $t) (i32.div_u (local.get $x) (local.get $t))) (i32.const 1)))
    (local.set $s (i32.sub (local.get $t) (i32.const 1)))
    (local.set $d (i32.div_u
      (i32.shl (i32.sub (local.get $x) (i32.mul (local.get $s) (local.get $s))) (i32.const 14))
      (local.get $t)))
    (local.set $s (i32.add (i32.shl (local.get $s) (i32.const 15)) (local.get $d)))
    (local.set $r (i64.extend_i32_u (local.get $s)))
    (local.set $h (i64.sub (local.get $m) (i64.shl (i64.mul (local.get $r) (local.get $r)) (i64.const 2))))
    (local.set $t (i32.add (i32.shr_u (local.get $s) (i32.const 15)) (i32.const 1)))
    (local.set $d (i32.div_u (i32.wrap_i64 (i64.shr_u (local.get $h) (i64.const 3))) (local.get $t)))
    (local.set $h (i64.sub
      (i64.shl (local.get $h) (i64.const 12))
      (i64.mul (i64.add (local.get $r) (i64.const 1)) (i64.extend_i32_u (local.get $d)))))
    (local.set $t (i32.div_u (i32.wrap_i64 (i64.shr_u (local.get $h) (i64.const 2))) (local.get $t)))
    (local.set $d (i32.add (i32.shl (local.get $d) (i32.const 13)) (local.get $t)))
    (local.set $r (i64.add (i64.shl (local.get $r) (i64.const 28)) (i64.extend_i32_u (local.get $d))))
    (local.set $g (i64.and (local.get $r) (i64.const 63)))
    (local.set $r (i64.shr_u (local.get $r) (i64.const 6)))
    (local.set $p (i64.shl (i64.shr_u (i64.add (local.get $p) (i64.const 1021)) (i64.const 1)) (i64.const 52)))
    (if (i64.lt_u (local.get $g) (i64.const 30)) (then (return (i64.add (local.get $p) (local.get $r)))))
    (if (i64.ge_u (local.get $g) (i64.const 32))
      (then (return (i64.add (i64.add (local.get $p) (local.get $r)) (i64.const 1)))))
    (local.set $h (i64.add (i64.shl (local.get $r) (i64.const 1)) (i64.const 1)))
    (local.set $p (i64.add (local.get $p) (local.get $r)))
    (if
      (i64.lt_s
        (i64.sub (i64.shl (local.get $m) (i64.const 44)) (i64.mul (local.get $h) (local.get $h)))
        (i64.const 0))
      (then (return (local.get $p))))
    (i64.add (local.get $p) (i64.const 1)))

  ;; The number with this sign (0 or the sign bit), this biased exponent of the significand's leading bit, which is the
  ;; word's highest, and a last bit that stands for everything behind it.
  (func $f64.pack (param $sign i64) (param $e i64) (param $m i64) (result i64)
    (local $d i64) (local $s i64)
    (if (i64.ge_s (local.get $e) (i64.const 2047))
      (then (return (i64.or (local.get $sign) (i64.const 0x7ff0000000000000)))))
    (if (i64.le_s (local.get $e) (i64.const 0))
      (then
        (local.set $d (i64.sub (i64.const 1) (local.get $e)))
        (if (i64.gt_u (local.get $d) (i64.const 63)) (then (return (local.get $sign))))
        (local.set $s (i64.shr_u (local.get $m) (local.get $d)))
        (if (i64.ne (i64.shl (local.get $s) (local.get $d)) (local.get $m))
          (then (local.set $s (i64.or (local.get $s) (i64.const 1)))))
        (local.set $m (local.get $s))
        (local.set $e (i64.const 1))
        (local.set $s (i64.add (local.get $sign) (i64.shr_u (local.get $m) (i64.const 11)))))
      (else
        (local.set $s (i64.add
          (i64.or (local.get $sign) (i64.shl (i64.sub (local.get $e) (i64.const 1)) (i64.const 52)))
          (i64.shr_u (local.get $m) (i64.const 11))))))
    (local.set $d (i64.and (local.get $m) (i64.const 0x7ff)))
    (if (i64.lt_u (local.get $d) (i64.const 0x400)) (then (return (local.get $s))))
    (if (i64.gt_u (local.get $d) (i64.const 0x400)) (then (return (i64.add (local.get $s) (i64.const 1)))))
    (i64.add (local.get $s) (i64.and (local.get $s) (i64.const 1))))

  (func $f64.min (export "f64.min") (param $a i64) (param $b i64) (result i64)
    (if (i64.ge_s (local.get $a) (i64.const 0))
      (then
        (if (i64.gt_s (local.get $a) (i64.const 0x7ff0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
        (if (i64.ge_s (local.get $b) (i64.const 0))
          (then
            (if (i64.gt_s (local.get $b) (i64.const 0x7ff0000000000000))
              (then (return (i64.const 0x7ff8000000000000))))
            (if (i64.lt_s (local.get $a) (local.get $b)) (then (return (local.get $a))))
            (return (local.get $b))))
        (if (i64.gt_u (local.get $b) (i64.const 0xfff0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
        (return (local.get $b))))
    (if (i64.gt_u (local.get $a) (i64.const 0xfff0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
    (if (i64.ge_s (local.get $b) (i64.const 0))
      (then
        (if (i64.gt_s (local.get $b) (i64.const 0x7ff0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
        (return (local.get $a))))
    (if (i64.gt_u (local.get $b) (i64.const 0xfff0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
    (if (i64.gt_u (local.get $a) (local.get $b)) (then (return (local.get $a))))
    (local.get $b))

  (func $f64.max (export "f64.max") (param $a i64) (param $b i64) (result i64)
    (if (i64.ge_s (local.get $a) (i64.const 0))
      (then
        (if (i64.gt_s (local.get $a) (i64.const 0x7ff0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
        (if (i64.ge_s (local.get $b) (i64.const 0))
          (then
            (if (i64.gt_s (local.get $b) (i64.const 0x7ff0000000000000))
              (then (return (i64.const 0x7ff8000000000000))))
            (if (i64.gt_s (local.get $a) (local.get $b)) (then (return (local.get $a))))
            (return (local.get $b))))
        (if (i64.gt_u (local.get $b) (i64.const 0xfff0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
        (return (local.get $a))))
    (if (i64.gt_u (local.get $a) (i64.const 0xfff0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
    (if (i64.ge_s (local.get $b) (i64.const 0))
      (then
        (if (i64.gt_s (local.get $b) (i64.const 0x7ff0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
        (return (local.get $b))))
    (if (i64.gt_u (local.get $b) (i64.const 0xfff0000000000000)) (then (return (i64.const 0x7ff8000000000000))))
    (if (i64.lt_u (local.get $a) (local.get $b)) (then (return (local.get $a))))
    (local.get $b))

  ;; Rounding to an integer: d bits of the fraction lie behind the point. Adding to the packed number carries into the
  ;; exponent just as it should.
  (func $f64.trunc (export "f64.trunc") (param $a i64) (result i64)
    (local $p i64) (local $d i64)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023))
      (then (return (i64.and (local.get $a) (i64.const 0x8000000000000000)))))
    (if (i64.ge_u (local.get $p) (i64.const 1075)) (then (return (call $f64.integral (local.get $a)))))
    (local.set $d (i64.sub (i64.const 1075) (local.get $p)))
    (i64.shl (i64.shr_u (local.get $a) (local.get $d)) (local.get $d)))

  (func $f64.ceil (export "f64.ceil") (param $a i64) (result i64)
    (local $p i64) (local $d i64) (local $r i64)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023))
      (then
        (if (i64.lt_s (local.get $a) (i64.const 0)) (then (return (i64.const 0x8000000000000000))))
        (if (i64.eqz (local.get $a)) (then (return (i64.const 0))))
        (return (i64.const 0x3ff0000000000000))))
    (if (i64.ge_u (local.get $p) (i64.const 1075)) (then (return (call $f64.integral (local.get $a)))))
    (local.set $d (i64.sub (i64.const 1075) (local.get $p)))
    (local.set $r (i64.shl (i64.shr_u (local.get $a) (local.get $d)) (local.get $d)))
    (if (i64.lt_s (local.get $a) (i64.const 0)) (then (return (local.get $r))))
    (if (i64.eq (local.get $r) (local.get $a)) (then (return (local.get $r))))
    (i64.add (local.get $r) (i64.shl (i64.const 1) (local.get $d))))

  (func $f64.floor (export "f64.floor") (param $a i64) (result i64)
    (local $p i64) (local $d i64) (local $r i64)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023))
      (then
        (if (i64.ge_s (local.get $a) (i64.const 0)) (then (return (i64.const 0))))
        (if (i64.eq (local.get $a) (i64.const 0x8000000000000000)) (then (return (i64.const 0x8000000000000000))))
        (return (i64.or (i64.const 0x8000000000000000) (i64.const 0x3ff0000000000000)))))
    (if (i64.ge_u (local.get $p) (i64.const 1075)) (then (return (call $f64.integral (local.get $a)))))
    (local.set $d (i64.sub (i64.const 1075) (local.get $p)))
    (local.set $r (i64.shl (i64.shr_u (local.get $a) (local.get $d)) (local.get $d)))
    (if (i64.ge_s (local.get $a) (i64.const 0)) (then (return (local.get $r))))
    (if (i64.eq (local.get $r) (local.get $a)) (then (return (local.get $r))))
    (i64.add (local.get $r) (i64.shl (i64.const 1) (local.get $d))))

  (func $f64.nearest (export "f64.nearest") (param $a i64) (result i64)
    (local $p i64) (local $d i64)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023))
      (then
        (if (i64.lt_u (local.get $p) (i64.const 1022))
          (then (return (i64.and (local.get $a) (i64.const 0x8000000000000000)))))
        (if (i64.eqz (i64.and (local.get $a) (i64.const 0xfffffffffffff)))
          (then (return (i64.and (local.get $a) (i64.const 0x8000000000000000)))))
        (return (i64.or (i64.and (local.get $a) (i64.const 0x8000000000000000)) (i64.const 0x3ff0000000000000)))))
    (if (i64.ge_u (local.get $p) (i64.const 1075)) (then (return (call $f64.integral (local.get $a)))))
    (local.set $d (i64.sub (i64.const 1075) (local.get $p)))
    ;; half of the last place less one, and one more when that place is odd
    (local.set $p (i64.sub (i64.shl (i64.const 1) (i64.sub (local.get $d) (i64.const 1))) (i64.const 1)))
    (local.set $p (i64.add (local.get $p) (i64.and (i64.shr_u (local.get $a) (local.get $d)) (i64.const 1))))
    (i64.shl (i64.shr_u (i64.add (local.get $a) (local.get $p)) (local.get $d)) (local.get $d)))

  ;; What has no fraction stays as it is, unless it is not a number.
  (func $f64.integral (param $a i64) (result i64)
    (if (i64.gt_u (i64.and (local.get $a) (i64.const 0x7fffffffffffffff)) (i64.const 0x7ff0000000000000))
      (then (return (i64.const 0x7ff8000000000000))))
    (local.get $a))

  ;; Comparisons: numbers of one sign compare as their bits do. Not a number: above the infinity of its sign.
  (func $f64.eq (export "f64.eq") (param $a i64) (param $b i64) (result i32)
    (if (i64.eq (local.get $a) (local.get $b))
      (then
        (if (i64.lt_s (local.get $a) (i64.const 0))
          (then (return (i64.le_u (local.get $a) (i64.const 0xfff0000000000000)))))
        (return (i64.le_s (local.get $a) (i64.const 0x7ff0000000000000)))))
    (if (i64.eqz (local.get $a)) (then (return (i64.eq (local.get $b) (i64.const 0x8000000000000000)))))
    (if (i64.eqz (local.get $b)) (then (return (i64.eq (local.get $a) (i64.const 0x8000000000000000)))))
    (i32.const 0))

  (func $f64.ne (export "f64.ne") (param $a i64) (param $b i64) (result i32)
    (if (i64.eq (local.get $a) (local.get $b))
      (then
        (if (i64.lt_s (local.get $a) (i64.const 0))
          (then (return (i64.gt_u (local.get $a) (i64.const 0xfff0000000000000)))))
        (return (i64.gt_s (local.get $a) (i64.const 0x7ff0000000000000)))))
    (if (i64.eqz (local.get $a)) (then (return (i64.ne (local.get $b) (i64.const 0x8000000000000000)))))
    (if (i64.eqz (local.get $b)) (then (return (i64.ne (local.get $a) (i64.const 0x8000000000000000)))))
    (i32.const 1))

  (func $f64.lt (export "f64.lt") (param $a i64) (param $b i64) (result i32)
    (if (i64.ge_s (local.get $a) (i64.const 0))
      (then
        (if (i64.lt_s (local.get $b) (i64.const 0)) (then (return (i32.const 0))))
        (if (i64.gt_s (local.get $b) (i64.const 0x7ff0000000000000)) (then (return (i32.const 0))))
        (return (i64.lt_s (local.get $a) (local.get $b)))))
    (if (i64.gt_u (local.get $a) (i64.const 0xfff0000000000000)) (then (return (i32.const 0))))
    (if (i64.lt_s (local.get $b) (i64.const 0)) (then (return (i64.gt_u (local.get $a) (local.get $b)))))
    (if (i64.gt_s (local.get $b) (i64.const 0x7ff0000000000000)) (then (return (i32.const 0))))
    (if (i64.eqz (local.get $b)) (then (return (i64.ne (local.get $a) (i64.const 0x8000000000000000)))))
    (i32.const 1))

  (func $f64.gt (export "f64.gt") (param $b i64) (param $a i64) (result i32)
    (if (i64.ge_s (local.get $a) (i64.const 0))
      (then
        (if (i64.lt_s (local.get $b) (i64.const 0)) (then (return (i32.const 0))))
        (if (i64.gt_s (local.get $b) (i64.const 0x7ff0000000000000)) (then (return (i32.const 0))))
        (return (i64.lt_s (local.get $a) (local.get $b)))))
    (if (i64.gt_u (local.get $a) (i64.const 0xfff0000000000000)) (then (return (i32.const 0))))
    (if (i64.lt_s (local.get $b) (i64.const 0)) (then (return (i64.gt_u (local.get $a) (local.get $b)))))
    (if (i64.gt_s (local.get $b) (i64.const 0x7ff0000000000000)) (then (return (i32.const 0))))
    (if (i64.eqz (local.get $b)) (then (return (i64.ne (local.get $a) (i64.const 0x8000000000000000)))))
    (i32.const 1))

  (func $f64.le (export "f64.le") (param $a i64) (param $b i64) (result i32)
    (if (i64.ge_s (local.get $a) (i64.const 0))
      (then
        (if (i64.lt_s (local.get $b) (i64.const 0))
          (then
            (if (i64.eqz (local.get $a)) (then (return (i64.eq (local.get $b) (i64.const 0x8000000000000000)))))
            (return (i32.const 0))))
        (if (i64.gt_s (local.get $b) (i64.const 0x7ff0000000000000)) (then (return (i32.const 0))))
        (return (i64.le_s (local.get $a) (local.get $b)))))
    (if (i64.gt_u (local.get $a) (i64.const 0xfff0000000000000)) (then (return (i32.const 0))))
    (if (i64.lt_s (local.get $b) (i64.const 0)) (then (return (i64.ge_u (local.get $a) (local.get $b)))))
    (i64.le_s (local.get $b) (i64.const 0x7ff0000000000000)))

  (func $f64.ge (export "f64.ge") (param $b i64) (param $a i64) (result i32)
    (if (i64.ge_s (local.get $a) (i64.const 0))
      (then
        (if (i64.lt_s (local.get $b) (i64.const 0))
          (then
            (if (i64.eqz (local.get $a)) (then (return (i64.eq (local.get $b) (i64.const 0x8000000000000000)))))
            (return (i32.const 0))))
        (if (i64.gt_s (local.get $b) (i64.const 0x7ff0000000000000)) (then (return (i32.const 0))))
        (return (i64.le_s (local.get $a) (local.get $b)))))
    (if (i64.gt_u (local.get $a) (i64.const 0xfff0000000000000)) (then (return (i32.const 0))))
    (if (i64.lt_s (local.get $b) (i64.const 0)) (then (return (i64.ge_u (local.get $a) (local.get $b)))))
    (i64.le_s (local.get $b) (i64.const 0x7ff0000000000000)))

  (func $f64.convert_i32_u (export "f64.convert_i32_u") (param $x i32) (result i64)
    (local $d i64)
    (if (i32.eqz (local.get $x)) (then (return (i64.const 0))))
    (local.set $d (i64.extend_i32_u (i32.clz (local.get $x))))
    (i64.add
      (i64.shl (i64.sub (i64.const 1053) (local.get $d)) (i64.const 52))
      (i64.shl (i64.extend_i32_u (local.get $x)) (i64.add (local.get $d) (i64.const 21)))))

  (func $f64.convert_i32_s (export "f64.convert_i32_s") (param $x i32) (result i64)
    (local $d i64)
    (if (i32.gt_s (local.get $x) (i32.const 0))
      (then
        (local.set $d (i64.extend_i32_u (i32.clz (local.get $x))))
        (return
          (i64.add
            (i64.shl (i64.sub (i64.const 1053) (local.get $d)) (i64.const 52))
            (i64.shl (i64.extend_i32_u (local.get $x)) (i64.add (local.get $d) (i64.const 21)))))))
    (if (i32.eqz (local.get $x)) (then (return (i64.const 0))))
    (local.set $x (i32.sub (i32.const 0) (local.get $x)))
    (local.set $d (i64.extend_i32_u (i32.clz (local.get $x))))
    (i64.add
      (i64.shl (i64.sub (i64.const 3101) (local.get $d)) (i64.const 52))
      (i64.shl (i64.extend_i32_u (local.get $x)) (i64.add (local.get $d) (i64.const 21)))))

  (func $f64.convert_i64_u (export "f64.convert_i64_u") (param $x i64) (result i64)
    (local $d i64)
    (if (i64.eqz (local.get $x)) (then (return (i64.const 0))))
    (local.set $d (i64.clz (local.get $x)))
    (if (i64.lt_u (local.get $d) (i64.const 11))
      (then
        (return
          (call $f64.pack
            (i64.const 0)
            (i64.sub (i64.const 1086) (local.get $d))
            (i64.shl (local.get $x) (local.get $d))))))
    (i64.add
      (i64.shl (i64.sub (i64.const 1085) (local.get $d)) (i64.const 52))
      (i64.shl (local.get $x) (i64.sub (local.get $d) (i64.const 11)))))

  (func $f64.convert_i64_s (export "f64.convert_i64_s") (param $x i64) (result i64)
    (local $d i64)
    (if (i64.gt_s (local.get $x) (i64.const 0))
      (then
        (local.set $d (i64.clz (local.get $x)))
        (if (i64.lt_u (local.get $d) (i64.const 11))
          (then
            (return
              (call $f64.pack
                (i64.const 0)
                (i64.sub (i64.const 1086) (local.get $d))
                (i64.shl (local.get $x) (local.get $d))))))
        (return
          (i64.add
            (i64.shl (i64.sub (i64.const 1085) (local.get $d)) (i64.const 52))
            (i64.shl (local.get $x) (i64.sub (local.get $d) (i64.const 11)))))))
    (if (i64.eqz (local.get $x)) (then (return (i64.const 0))))
    (local.set $x (i64.sub (i64.const 0) (local.get $x)))
    (local.set $d (i64.clz (local.get $x)))
    (if (i64.lt_u (local.get $d) (i64.const 11))
      (then
        (return
          (call $f64.pack
            (i64.const 0x8000000000000000)
            (i64.sub (i64.const 1086) (local.get $d))
            (i64.shl (local.get $x) (local.get $d))))))
    (i64.add
      (i64.shl (i64.sub (i64.const 3133) (local.get $d)) (i64.const 52))
      (i64.shl (local.get $x) (i64.sub (local.get $d) (i64.const 11)))))

  (func $f64.promote_f32 (export "f64.promote_f32") (param $a i32) (result i64)
    (local $p i32) (local $x i64) (local $d i64)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (local.set $x (i64.extend_i32_u (i32.and (local.get $a) (i32.const 0x7fffffff))))
    (block $signed
      (if (i32.eq (local.get $p) (i32.const 255))
        (then
          (if (i64.gt_u (local.get $x) (i64.const 0x7f800000)) (then (return (i64.const 0x7ff8000000000000))))
          (local.set $x (i64.const 0x7ff0000000000000))
          (br $signed)))
      (if (i32.eqz (local.get $p))
        (then
          (br_if $signed (i64.eqz (local.get $x)))
          (local.set $d (i64.clz (local.get $x)))
          (local.set $x (i64.add
            (i64.shl (i64.sub (i64.const 936) (local.get $d)) (i64.const 52))
            (i64.shl (local.get $x) (i64.sub (local.get $d) (i64.const 11)))))
          (br $signed)))
      (local.set $x (i64.add (i64.shl (local.get $x) (i64.const 29)) (i64.const 0x3800000000000000))))
    (if (i32.ge_s (local.get $a) (i32.const 0)) (then (return (local.get $x))))
    (i64.or (local.get $x) (i64.const 0x8000000000000000))))
