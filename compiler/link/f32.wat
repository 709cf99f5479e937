;; f32 arithmetic on bit patterns: sign, 8 bits of exponent, 23 of fraction, as i32; see f64.wat.
(module
  ;; Operands of one sign: the significand of the smaller one, shifted, is added to the packed larger one; what it
  ;; carries out of the fraction raises the exponent, and the fraction is halved then. Operands of different signs: the
  ;; negated significand is shifted and added. s is the sum so far, r the bits shifted out of it, left-aligned.
  (func $f32.add (export "f32.add") (param $a i32) (param $b i32) (result i32)
    (local $x i32) (local $y i32) (local $p i32) (local $q i32) (local $d i32) (local $m i32) (local $s i32)
    (local $r i32)
    ;; sign and exponent
    (local.set $x (i32.shr_u (local.get $a) (i32.const 23)))
    (local.set $y (i32.shr_u (local.get $b) (i32.const 23)))
    (block $special
      (block $round
        (block $carry
          (if (i32.lt_u (i32.xor (local.get $x) (local.get $y)) (i32.const 256))
            (then
              (if (i32.gt_u (local.get $x) (local.get $y))
                (then
                  (br_if $special (i32.eq (local.get $x) (i32.const 255)))
                  (br_if $special (i32.eq (local.get $x) (i32.const 511)))
                  (local.set $d (i32.sub (local.get $x) (local.get $y)))
                  (if (i32.gt_u (local.get $d) (i32.const 25)) (then (return (local.get $a))))
                  (local.set $m (i32.or (i32.and (local.get $b) (i32.const 0x7fffff)) (i32.const 0x800000)))
                  (block $normal
                    (block $subnormal
                      (br_if $subnormal (i32.eqz (local.get $y)))
                      (br_if $normal (i32.ne (local.get $y) (i32.const 256))))
                    (local.set $m (i32.shl (i32.xor (local.get $m) (i32.const 0x800000)) (i32.const 1))))
                  (local.set $r (i32.shl (local.get $m) (i32.sub (i32.const 32) (local.get $d))))
                  (local.set $s (i32.add (local.get $a) (i32.shr_u (local.get $m) (local.get $d))))
                  (local.set $y (i32.shr_u (local.get $s) (i32.const 23)))
                  (br_if $round (i32.eq (local.get $x) (local.get $y)))
                  (br $carry)))
              (if (i32.lt_u (local.get $x) (local.get $y))
                (then
                  (br_if $special (i32.eq (local.get $y) (i32.const 255)))
                  (br_if $special (i32.eq (local.get $y) (i32.const 511)))
                  (local.set $d (i32.sub (local.get $y) (local.get $x)))
                  (if (i32.gt_u (local.get $d) (i32.const 25)) (then (return (local.get $b))))
                  (local.set $m (i32.or (i32.and (local.get $a) (i32.const 0x7fffff)) (i32.const 0x800000)))
                  (block $normal
                    (block $subnormal
                      (br_if $subnormal (i32.eqz (local.get $x)))
                      (br_if $normal (i32.ne (local.get $x) (i32.const 256))))
                    (local.set $m (i32.shl (i32.xor (local.get $m) (i32.const 0x800000)) (i32.const 1))))
                  (local.set $r (i32.shl (local.get $m) (i32.sub (i32.const 32) (local.get $d))))
                  (local.set $s (i32.add (local.get $b) (i32.shr_u (local.get $m) (local.get $d))))
                  (local.set $x (i32.shr_u (local.get $s) (i32.const 23)))
                  (br_if $round (i32.eq (local.get $x) (local.get $y)))
                  (local.set $y (local.get $x))
                  (br $carry)))
              ;; equal exponents: a mean with the next exponent, at most one bit is lost
              (local.set $p (i32.and (local.get $x) (i32.const 255)))
              (if (i32.eqz (local.get $p))
                (then (return (i32.add (local.get $a) (i32.and (local.get $b) (i32.const 0x7fffff))))))
              (if (i32.ge_u (local.get $p) (i32.const 254))
                (then
                  (br_if $special (i32.eq (local.get $p) (i32.const 255)))
                  (return (i32.shl (i32.add (local.get $x) (i32.const 1)) (i32.const 23)))))
              (local.set $d (i32.sub (local.get $b) (local.get $a)))
              (local.set $s (i32.add
                (local.get $a)
                (i32.add (i32.shr_s (local.get $d) (i32.const 1)) (i32.const 0x800000))))
              (if (i32.eqz (i32.and (local.get $d) (i32.const 1))) (then (return (local.get $s))))
              (return (i32.add (local.get $s) (i32.and (local.get $s) (i32.const 1))))))
          (local.set $p (i32.and (local.get $x) (i32.const 255)))
          (local.set $q (i32.and (local.get $y) (i32.const 255)))
          (if (i32.eq (local.get $p) (local.get $q))
            (then
              (if (i32.eq (local.get $p) (i32.const 255)) (then (return (i32.const 0x7fc00000))))
              (local.set $m (i32.sub
                (i32.and (local.get $a) (i32.const 0x7fffff))
                (i32.and (local.get $b) (i32.const 0x7fffff))))
              (if (i32.eqz (local.get $m)) (then (return (i32.const 0))))
              (if (i32.lt_s (local.get $m) (i32.const 0))
                (then
                  (local.set $m (i32.sub (i32.const 0) (local.get $m)))
                  (local.set $x (local.get $y))))
              (if (i32.eqz (local.get $p))
                (then (return (i32.add (i32.shl (local.get $x) (i32.const 23)) (local.get $m)))))
              ;; normalise, but not below the least exponent
              (local.set $d (i32.sub (i32.clz (local.get $m)) (i32.const 8)))
              (if (i32.ge_u (local.get $d) (local.get $p))
                (then (local.set $d (i32.sub (local.get $p) (i32.const 1)))))
              (return
                (i32.add
                  (i32.shl (i32.sub (i32.sub (local.get $x) (i32.const 1)) (local.get $d)) (i32.const 23))
                  (i32.shl (local.get $m) (local.get $d))))))
          (if (i32.gt_u (local.get $p) (local.get $q))
            (then
              (br_if $special (i32.eq (local.get $p) (i32.const 255)))
              (local.set $d (i32.sub (local.get $p) (local.get $q)))
              (if (i32.gt_u (local.get $d) (i32.const 26)) (then (return (local.get $a))))
              (local.set $m (i32.sub (i32.const 0xff800000) (i32.and (local.get $b) (i32.const 0x7fffff))))
              (if (i32.eqz (local.get $q))
                (then (local.set $m (i32.shl (i32.add (local.get $m) (i32.const 0x800000)) (i32.const 1)))))
              (local.set $r (i32.shl (local.get $m) (i32.sub (i32.const 32) (local.get $d))))
              (local.set $s (i32.add (local.get $a) (i32.shr_s (local.get $m) (local.get $d))))
              (br_if $round (i32.eq (i32.shr_u (local.get $s) (i32.const 23)) (local.get $x))))
            (else
              (br_if $special (i32.eq (local.get $q) (i32.const 255)))
              (local.set $d (i32.sub (local.get $q) (local.get $p)))
              (if (i32.gt_u (local.get $d) (i32.const 26)) (then (return (local.get $b))))
              (local.set $m (i32.sub (i32.const 0xff800000) (i32.and (local.get $a) (i32.const 0x7fffff))))
              (if (i32.eqz (local.get $p))
                (then (local.set $m (i32.shl (i32.add (local.get $m) (i32.const 0x800000)) (i32.const 1)))))
              (local.set $r (i32.shl (local.get $m) (i32.sub (i32.const 32) (local.get $d))))
              (local.set $s (i32.add (local.get $b) (i32.shr_s (local.get $m) (local.get $d))))
              (br_if $round (i32.eq (i32.shr_u (local.get $s) (i32.const 23)) (local.get $y)))
              (local.set $x (local.get $y))
              (local.set $p (local.get $q))))
          ;; the difference borrowed from the exponent: its leading bits are gone
          (if (i32.eq (local.get $p) (i32.const 1)) (then (return (local.get $s))))
          (if (i32.eq (local.get $d) (i32.const 1))
            (then
              ;; any number of them, but nothing is lost
              (local.set $m (i32.or
                (i32.shl (i32.and (local.get $s) (i32.const 0x7fffff)) (i32.const 1))
                (i32.shr_u (local.get $r) (i32.const 31))))
              (local.set $d (i32.sub (i32.clz (local.get $m)) (i32.const 8)))
              (local.set $p (i32.sub (local.get $p) (i32.const 2)))
              (if (i32.gt_u (local.get $d) (local.get $p)) (then (local.set $d (local.get $p))))
              (return
                (i32.add
                  (i32.shl (i32.sub (i32.sub (local.get $x) (i32.const 2)) (local.get $d)) (i32.const 23))
                  (i32.shl (local.get $m) (local.get $d))))))
          ;; one of them
          (local.set $s (i32.add
            (i32.add (local.get $s) (i32.or (local.get $s) (i32.const 0xff800000)))
            (i32.shr_u (local.get $r) (i32.const 31))))
          (local.set $r (i32.shl (local.get $r) (i32.const 1)))
          (br $round))
        ;; y: the exponent that the carry has raised
        (local.set $m (i32.and (local.get $s) (i32.const 0x7fffff)))
        (local.set $s (i32.add (i32.shl (local.get $y) (i32.const 23)) (i32.shr_u (local.get $m) (i32.const 1))))
        (if (i32.eq (i32.and (local.get $y) (i32.const 255)) (i32.const 255))
          (then (return (i32.shl (local.get $y) (i32.const 23)))))
        (if (i32.eqz (i32.and (local.get $m) (i32.const 1))) (then (return (local.get $s))))
        (if (i32.eqz (local.get $r)) (then (return (i32.add (local.get $s) (i32.and (local.get $s) (i32.const 1))))))
        (return (i32.add (local.get $s) (i32.const 1))))
      (if (i32.lt_u (local.get $r) (i32.const 0x80000000)) (then (return (local.get $s))))
      (if (i32.gt_u (local.get $r) (i32.const 0x80000000)) (then (return (i32.add (local.get $s) (i32.const 1)))))
      (return (i32.add (local.get $s) (i32.and (local.get $s) (i32.const 1)))))
    ;; one operand at least is infinite or not a number; infinities of different signs do not come here
    (if (i32.gt_u (i32.shl (local.get $a) (i32.const 1)) (i32.const 0xff000000))
      (then (return (i32.const 0x7fc00000))))
    (if (i32.gt_u (i32.shl (local.get $b) (i32.const 1)) (i32.const 0xff000000))
      (then (return (i32.const 0x7fc00000))))
    (if (i32.eq (i32.shl (local.get $a) (i32.const 1)) (i32.const 0xff000000)) (then (return (local.get $a))))
    (local.get $b))

  (func $f32.sub (export "f32.sub") (param $a i32) (param $b i32) (result i32)
    (call $f32.add (local.get $a) (i32.xor (local.get $b) (i32.const 0x80000000))))

  (func $f32.mul (export "f32.mul") (param $a i32) (param $b i32) (result i32)
    (local $x i32) (local $y i32) (local $p i32) (local $q i32) (local $h i32) (local $k i32) (local $s i32)
    (local $m i64)
    (local.set $x (i32.shr_u (local.get $a) (i32.const 23)))
    (local.set $y (i32.shr_u (local.get $b) (i32.const 23)))
    (local.set $p (i32.and (local.get $x) (i32.const 255)))
    (local.set $q (i32.and (local.get $y) (i32.const 255)))
    (block $normal
      (block $special
        (br_if $special (i32.eqz (local.get $p)))
        (br_if $special (i32.eqz (local.get $q)))
        (br_if $special (i32.eq (local.get $p) (i32.const 255)))
        (br_if $normal (i32.ne (local.get $q) (i32.const 255))))
      (local.set $s (i32.and (i32.xor (local.get $a) (local.get $b)) (i32.const 0x80000000)))
      (local.set $h (i32.shl (local.get $a) (i32.const 1)))
      (local.set $k (i32.shl (local.get $b) (i32.const 1)))
      (if (i32.or (i32.eq (local.get $p) (i32.const 255)) (i32.eq (local.get $q) (i32.const 255)))
        (then
          (if (i32.gt_u (local.get $h) (i32.const 0xff000000)) (then (return (i32.const 0x7fc00000))))
          (if (i32.gt_u (local.get $k) (i32.const 0xff000000)) (then (return (i32.const 0x7fc00000))))
          (if (i32.or (i32.eqz (local.get $h)) (i32.eqz (local.get $k))) (then (return (i32.const 0x7fc00000))))
          (return (i32.or (local.get $s) (i32.const 0x7f800000)))))
      (if (i32.or (i32.eqz (local.get $h)) (i32.eqz (local.get $k))) (then (return (local.get $s))))
      (if (i32.eqz (local.get $p))
        (then
          (local.set $h (i32.sub (i32.clz (i32.and (local.get $a) (i32.const 0x7fffff))) (i32.const 8)))
          (local.set $a (i32.or
            (i32.and (local.get $a) (i32.const 0x80000000))
            (i32.shl (local.get $a) (local.get $h))))
          (local.set $p (i32.sub (i32.const 1) (local.get $h)))
          (local.set $x (i32.add (local.get $x) (local.get $p)))))
      (if (i32.eqz (local.get $q))
        (then
          (local.set $h (i32.sub (i32.clz (i32.and (local.get $b) (i32.const 0x7fffff))) (i32.const 8)))
          (local.set $b (i32.or
            (i32.and (local.get $b) (i32.const 0x80000000))
            (i32.shl (local.get $b) (local.get $h))))
          (local.set $q (i32.sub (i32.const 1) (local.get $h)))
          (local.set $y (i32.add (local.get $y) (local.get $q))))))
    ;; 47 or 48 bits
    (local.set $m (i64.mul
      (i64.extend_i32_u (i32.or (i32.and (local.get $a) (i32.const 0x7fffff)) (i32.const 0x800000)))
      (i64.extend_i32_u (i32.or (i32.and (local.get $b) (i32.const 0x7fffff)) (i32.const 0x800000)))))
    (local.set $p (i32.add (local.get $p) (local.get $q)))
    (block $range
      (br_if $range (i32.lt_s (local.get $p) (i32.const 128)))
      (br_if $range (i32.gt_s (local.get $p) (i32.const 380)))
      (if (i64.ge_u (local.get $m) (i64.const 0x800000000000))
        (then
          (local.set $s (i32.add
            (i32.shl (i32.sub (i32.add (local.get $x) (local.get $y)) (i32.const 127)) (i32.const 23))
            (i32.wrap_i64 (i64.shr_u (local.get $m) (i64.const 24)))))
          (local.set $m (i64.and (local.get $m) (i64.const 0xffffff)))
          (if (i64.lt_u (local.get $m) (i64.const 0x800000)) (then (return (local.get $s))))
          (if (i64.gt_u (local.get $m) (i64.const 0x800000)) (then (return (i32.add (local.get $s) (i32.const 1)))))
          (return (i32.add (local.get $s) (i32.and (local.get $s) (i32.const 1))))))
      (local.set $s (i32.add
        (i32.shl (i32.sub (i32.add (local.get $x) (local.get $y)) (i32.const 128)) (i32.const 23))
        (i32.wrap_i64 (i64.shr_u (local.get $m) (i64.const 23)))))
      (local.set $m (i64.and (local.get $m) (i64.const 0x7fffff)))
      (if (i64.lt_u (local.get $m) (i64.const 0x400000)) (then (return (local.get $s))))
      (if (i64.gt_u (local.get $m) (i64.const 0x400000)) (then (return (i32.add (local.get $s) (i32.const 1)))))
      (return (i32.add (local.get $s) (i32.and (local.get $s) (i32.const 1)))))
    (local.set $p (i32.sub (local.get $p) (i32.const 126)))
    (if (i64.lt_u (local.get $m) (i64.const 0x800000000000))
      (then
        (local.set $m (i64.shl (local.get $m) (i64.const 1)))
        (local.set $p (i32.sub (local.get $p) (i32.const 1)))))
    (local.set $s (i32.wrap_i64 (i64.shr_u (local.get $m) (i64.const 16))))
    (if (i64.ne (i64.and (local.get $m) (i64.const 0xffff)) (i64.const 0))
      (then (local.set $s (i32.or (local.get $s) (i32.const 1)))))
    (call $f32.pack
      (i32.and (i32.xor (local.get $a) (local.get $b)) (i32.const 0x80000000))
      (local.get $p)
      (local.get $s)))

  ;; Two digits, of 16 and 14 bits: u / t never exceeds the true digit when t is the leading 16 bits of the divisor,
  ;; rounded up. The second one leaves less than 4 divisors, and only where that matters they are found out.
  (func $f32.div (export "f32.div") (param $a i32) (param $b i32) (result i32)
    (local $x i32) (local $y i32) (local $p i32) (local $q i32) (local $h i32) (local $k i32) (local $s i32)
    (local $g i32)
    (local $half i32) (local $t i32) (local $d i32)
    (local.set $x (i32.shr_u (local.get $a) (i32.const 23)))
    (local.set $y (i32.shr_u (local.get $b) (i32.const 23)))
    (local.set $p (i32.and (local.get $x) (i32.const 255)))
    (local.set $q (i32.and (local.get $y) (i32.const 255)))
    (block $normal
      (block $special
        (br_if $special (i32.eqz (local.get $p)))
        (br_if $special (i32.eqz (local.get $q)))
        (br_if $special (i32.eq (local.get $p) (i32.const 255)))
        (br_if $normal (i32.ne (local.get $q) (i32.const 255))))
      (local.set $s (i32.and (i32.xor (local.get $a) (local.get $b)) (i32.const 0x80000000)))
      (local.set $h (i32.shl (local.get $a) (i32.const 1)))
      (local.set $k (i32.shl (local.get $b) (i32.const 1)))
      (if (i32.gt_u (local.get $h) (i32.const 0xff000000)) (then (return (i32.const 0x7fc00000))))
      (if (i32.gt_u (local.get $k) (i32.const 0xff000000)) (then (return (i32.const 0x7fc00000))))
      (if (i32.eq (local.get $p) (i32.const 255))
        (then
          (if (i32.eq (local.get $q) (i32.const 255)) (then (return (i32.const 0x7fc00000))))
          (return (i32.or (local.get $s) (i32.const 0x7f800000)))))
      (if (i32.eqz (local.get $k))
        (then
          (if (i32.eqz (local.get $h)) (then (return (i32.const 0x7fc00000))))
          (return (i32.or (local.get $s) (i32.const 0x7f800000)))))
      (if (i32.or (i32.eqz (local.get $h)) (i32.eq (local.get $q) (i32.const 255))) (then (return (local.get $s))))
      (if (i32.eqz (local.get $p))
        (then
          (local.set $h (i32.sub (i32.clz (i32.and (local.get $a) (i32.const 0x7fffff))) (i32.const 8)))
          (local.set $a (i32.or
            (i32.and (local.get $a) (i32.const 0x80000000))
            (i32.shl (local.get $a) (local.get $h))))
          (local.set $p (i32.sub (i32.const 1) (local.get $h)))
          (local.set $x (i32.add (local.get $x) (local.get $p)))))
      (if (i32.eqz (local.get $q))
        (then
          (local.set $h (i32.sub (i32.clz (i32.and (local.get $b) (i32.const 0x7fffff))) (i32.const 8)))
          (local.set $b (i32.or
            (i32.and (local.get $b) (i32.const 0x80000000))
            (i32.shl (local.get $b) (local.get $h))))
          (local.set $q (i32.sub (i32.const 1) (local.get $h)))
          (local.set $y (i32.add (local.get $y) (local.get $q))))))
    (local.set $h (i32.or (i32.and (local.get $a) (i32.const 0x7fffff)) (i32.const 0x800000)))
    (local.set $k (i32.or (i32.and (local.get $b) (i32.const 0x7fffff)) (i32.const 0x800000)))
    (local.set $t (i32.add (i32.shr_u (local.get $k) (i32.const 8)) (i32.const 1)))
    (local.set $d (i32.div_u (i32.shl (local.get $h) (i32.const 8)) (local.get $t)))
    (local.set $h (i32.sub (i32.shl (local.get $h) (i32.const 16)) (i32.mul (local.get $k) (local.get $d))))
    (local.set $t (i32.div_u (i32.shl (local.get $h) (i32.const 6)) (local.get $t)))
    ;; 30 or 31 bits
    (local.set $s (i32.add (i32.shl (local.get $d) (i32.const 14)) (local.get $t)))
    (local.set $p (i32.sub (i32.add (local.get $p) (i32.const 127)) (local.get $q)))
    (block $exact
      (block $range
        (br_if $range (i32.lt_s (local.get $p) (i32.const 2)))
        (br_if $range (i32.gt_s (local.get $p) (i32.const 254)))
        (local.set $x (i32.sub (i32.add (local.get $x) (i32.const 637)) (local.get $y)))
        (if (i32.ge_u (local.get $s) (i32.const 0x40000000))
          (then
            (local.set $g (i32.and (local.get $s) (i32.const 127)))
            (local.set $s (i32.add
              (i32.shl (i32.add (local.get $x) (i32.const 1)) (i32.const 23))
              (i32.shr_u (local.get $s) (i32.const 7))))
            (if (i32.lt_u (local.get $g) (i32.const 61)) (then (return (local.get $s))))
            (if (i32.gt_u (local.get $g) (i32.const 64)) (then (return (i32.add (local.get $s) (i32.const 1)))))
            (local.set $half (i32.const 64)))
          (else
            (local.set $g (i32.and (local.get $s) (i32.const 63)))
            (local.set $s (i32.add (i32.shl (local.get $x) (i32.const 23)) (i32.shr_u (local.get $s) (i32.const 6))))
            (if (i32.lt_u (local.get $g) (i32.const 29)) (then (return (local.get $s))))
            (if (i32.gt_u (local.get $g) (i32.const 32)) (then (return (i32.add (local.get $s) (i32.const 1)))))
            (local.set $half (i32.const 32))))
        (br $exact))
      (local.set $h (i32.sub (i32.shl (local.get $h) (i32.const 14)) (i32.mul (local.get $k) (local.get $t))))
      (block $done
        (loop $correct
          (br_if $done (i32.lt_u (local.get $h) (local.get $k)))
          (local.set $h (i32.sub (local.get $h) (local.get $k)))
          (local.set $s (i32.add (local.get $s) (i32.const 1)))
          (br $correct)))
      (if (i32.ge_u (local.get $s) (i32.const 0x40000000))
        (then (local.set $s (i32.shl (local.get $s) (i32.const 1))))
        (else
          (local.set $s (i32.shl (local.get $s) (i32.const 2)))
          (local.set $p (i32.sub (local.get $p) (i32.const 1)))))
      (if (i32.ne (local.get $h) (i32.const 0)) (then (local.set $s (i32.or (local.get $s) (i32.const 1)))))
      (return
        (call $f32.pack
          (i32.and (i32.xor (local.get $a) (local.get $b)) (i32.const 0x80000000))
          (local.get $p)
          (local.get $s))))
    (local.set $h (i32.sub (i32.shl (local.get $h) (i32.const 14)) (i32.mul (local.get $k) (local.get $t))))
    (block $done
      (loop $correct
        (br_if $done (i32.lt_u (local.get $h) (local.get $k)))
        (local.set $h (i32.sub (local.get $h) (local.get $k)))
        (local.set $g (i32.add (local.get $g) (i32.const 1)))
        (br $correct)))
    (if (i32.lt_u (local.get $g) (local.get $half)) (then (return (local.get $s))))
    (if (i32.and (i32.eq (local.get $g) (local.get $half)) (i32.eqz (local.get $h)))
      (then (return (i32.add (local.get $s) (i32.and (local.get $s) (i32.const 1))))))
    (i32.add (local.get $s) (i32.const 1)))

  ;; As f64.sqrt: 16 bits by Heron's method, 15 more by a division; less than 2 below the true root.
  (func $f32.sqrt (export "f32.sqrt") (param $a i32) (result i32)
    (local $p i32) (local $m i32) (local $r i32) (local $h i32) (local $g i32) (local $t i32)
    (local.set $p (i32.shr_u (local.get $a) (i32.const 23)))
    (block $normal
      (block $special
        (br_if $special (i32.eqz (local.get $p)))
        (br_if $normal (i32.lt_u (local.get $p) (i32.const 255))))
      (if (i32.eqz (i32.shl (local.get $a) (i32.const 1))) (then (return (local.get $a))))
      (if (i32.eq (local.get $a) (i32.const 0x7f800000)) (then (return (local.get $a))))
      (if (i32.ge_u (local.get $a) (i32.const 0x7f800000)) (then (return (i32.const 0x7fc00000))))
      (local.set $h (i32.sub (i32.clz (local.get $a)) (i32.const 8)))
      (local.set $a (i32.shl (local.get $a) (local.get $h)))
      (local.set $p (i32.sub (i32.const 1) (local.get $h))))
    (local.set $m (i32.shl
      (i32.or (i32.and (local.get $a) (i32.const 0x7fffff)) (i32.const 0x800000))
      (i32.sub (i32.const 8) (i32.and (local.get $p) (i32.const 1)))))
    (local.set $t (i32.add (i32.div_u (local.get $m) (i32.const 98304)) (i32.const 23210)))
    (local.set $t (i32.shr_u (i32.add (local.get $t) (i32.div_u (local.get $m) (local.get $t))) (i32.const 1)))
    (local.set $t (i32.shr_u (i32.add (local.get $t) (i32.div_u (local.get $m) (local.get $t))) (i32.const 1)))
    (local.set $r (i32.sub (local.get $t) (i32.const 1)))
    (local.set $r (i32.add
      (i32.shl (local.get $r) (i32.const 15))
      (i32.div_u
        (i32.shl (i32.sub (local.get $m) (i32.mul (local.get $r) (local.get $r))) (i32.const 14))
        (local.get $t))))
    (local.set $g (i32.and (local.get $r) (i32.const 127)))
    (local.set $r (i32.shr_u (local.get $r) (i32.const 7)))
    (local.set $p (i32.add
      (local.get $r)
      (i32.shl (i32.shr_u (i32.add (local.get $p) (i32.const 125)) (i32.const 1)) (i32.const 23))))
    (if (i32.lt_u (local.get $g) (i32.const 62)) (then (return (local.get $p))))
    (if (i32.ge_u (local.get $g) (i32.const 64)) (then (return (i32.add (local.get $p) (i32.const 1)))))
    (local.set $h (i32.add (i32.shl (local.get $r) (i32.const 1)) (i32.const 1)))
    (if
      (i32.lt_s
        (i32.sub (i32.shl (local.get $m) (i32.const 18)) (i32.mul (local.get $h) (local.get $h)))
        (i32.const 0))
      (then (return (local.get $p))))
    (i32.add (local.get $p) (i32.const 1)))

  ;; The number with this sign (0 or the sign bit), this biased exponent of the significand's leading bit, which is the
  ;; word's highest, and a last bit that stands for everything behind it.
  (func $f32.pack (param $sign i32) (param $e i32) (param $m i32) (result i32)
    (local $d i32) (local $s i32)
    (if (i32.ge_s (local.get $e) (i32.const 255)) (then (return (i32.or (local.get $sign) (i32.const 0x7f800000)))))
    (if (i32.le_s (local.get $e) (i32.const 0))
      (then
        (local.set $d (i32.sub (i32.const 1) (local.get $e)))
        (if (i32.gt_u (local.get $d) (i32.const 31)) (then (return (local.get $sign))))
        (local.set $s (i32.shr_u (local.get $m) (local.get $d)))
        (if (i32.ne (i32.shl (local.get $s) (local.get $d)) (local.get $m))
          (then (local.set $s (i32.or (local.get $s) (i32.const 1)))))
        (local.set $m (local.get $s))
        (local.set $e (i32.const 1))
        (local.set $s (i32.add (local.get $sign) (i32.shr_u (local.get $m) (i32.const 8)))))
      (else
        (local.set $s (i32.add
          (i32.or (local.get $sign) (i32.shl (i32.sub (local.get $e) (i32.const 1)) (i32.const 23)))
          (i32.shr_u (local.get $m) (i32.const 8))))))
    (local.set $d (i32.and (local.get $m) (i32.const 0xff)))
    (if (i32.lt_u (local.get $d) (i32.const 0x80)) (then (return (local.get $s))))
    (if (i32.gt_u (local.get $d) (i32.const 0x80)) (then (return (i32.add (local.get $s) (i32.const 1)))))
    (i32.add (local.get $s) (i32.and (local.get $s) (i32.const 1))))

  (func $f32.min (export "f32.min") (param $a i32) (param $b i32) (result i32)
    (if (i32.ge_s (local.get $a) (i32.const 0))
      (then
        (if (i32.gt_s (local.get $a) (i32.const 0x7f800000)) (then (return (i32.const 0x7fc00000))))
        (if (i32.ge_s (local.get $b) (i32.const 0))
          (then
            (if (i32.gt_s (local.get $b) (i32.const 0x7f800000)) (then (return (i32.const 0x7fc00000))))
            (if (i32.lt_s (local.get $a) (local.get $b)) (then (return (local.get $a))))
            (return (local.get $b))))
        (if (i32.gt_u (local.get $b) (i32.const 0xff800000)) (then (return (i32.const 0x7fc00000))))
        (return (local.get $b))))
    (if (i32.gt_u (local.get $a) (i32.const 0xff800000)) (then (return (i32.const 0x7fc00000))))
    (if (i32.ge_s (local.get $b) (i32.const 0))
      (then
        (if (i32.gt_s (local.get $b) (i32.const 0x7f800000)) (then (return (i32.const 0x7fc00000))))
        (return (local.get $a))))
    (if (i32.gt_u (local.get $b) (i32.const 0xff800000)) (then (return (i32.const 0x7fc00000))))
    (if (i32.gt_u (local.get $a) (local.get $b)) (then (return (local.get $a))))
    (local.get $b))

  (func $f32.max (export "f32.max") (param $a i32) (param $b i32) (result i32)
    (if (i32.ge_s (local.get $a) (i32.const 0))
      (then
        (if (i32.gt_s (local.get $a) (i32.const 0x7f800000)) (then (return (i32.const 0x7fc00000))))
        (if (i32.ge_s (local.get $b) (i32.const 0))
          (then
            (if (i32.gt_s (local.get $b) (i32.const 0x7f800000)) (then (return (i32.const 0x7fc00000))))
            (if (i32.gt_s (local.get $a) (local.get $b)) (then (return (local.get $a))))
            (return (local.get $b))))
        (if (i32.gt_u (local.get $b) (i32.const 0xff800000)) (then (return (i32.const 0x7fc00000))))
        (return (local.get $a))))
    (if (i32.gt_u (local.get $a) (i32.const 0xff800000)) (then (return (i32.const 0x7fc00000))))
    (if (i32.ge_s (local.get $b) (i32.const 0))
      (then
        (if (i32.gt_s (local.get $b) (i32.const 0x7f800000)) (then (return (i32.const 0x7fc00000))))
        (return (local.get $b))))
    (if (i32.gt_u (local.get $b) (i32.const 0xff800000)) (then (return (i32.const 0x7fc00000))))
    (if (i32.lt_u (local.get $a) (local.get $b)) (then (return (local.get $a))))
    (local.get $b))

  ;; Rounding to an integer: d bits of the fraction lie behind the point. Adding to the packed number carries into the
  ;; exponent just as it should.
  (func $f32.trunc (export "f32.trunc") (param $a i32) (result i32)
    (local $p i32) (local $d i32)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127)) (then (return (i32.and (local.get $a) (i32.const 0x80000000)))))
    (if (i32.ge_u (local.get $p) (i32.const 150)) (then (return (call $f32.integral (local.get $a)))))
    (local.set $d (i32.sub (i32.const 150) (local.get $p)))
    (i32.shl (i32.shr_u (local.get $a) (local.get $d)) (local.get $d)))

  (func $f32.ceil (export "f32.ceil") (param $a i32) (result i32)
    (local $p i32) (local $d i32) (local $r i32)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127))
      (then
        (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (i32.const 0x80000000))))
        (if (i32.eqz (local.get $a)) (then (return (i32.const 0))))
        (return (i32.const 0x3f800000))))
    (if (i32.ge_u (local.get $p) (i32.const 150)) (then (return (call $f32.integral (local.get $a)))))
    (local.set $d (i32.sub (i32.const 150) (local.get $p)))
    (local.set $r (i32.shl (i32.shr_u (local.get $a) (local.get $d)) (local.get $d)))
    (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (local.get $r))))
    (if (i32.eq (local.get $r) (local.get $a)) (then (return (local.get $r))))
    (i32.add (local.get $r) (i32.shl (i32.const 1) (local.get $d))))

  (func $f32.floor (export "f32.floor") (param $a i32) (result i32)
    (local $p i32) (local $d i32) (local $r i32)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127))
      (then
        (if (i32.ge_s (local.get $a) (i32.const 0)) (then (return (i32.const 0))))
        (if (i32.eq (local.get $a) (i32.const 0x80000000)) (then (return (i32.const 0x80000000))))
        (return (i32.or (i32.const 0x80000000) (i32.const 0x3f800000)))))
    (if (i32.ge_u (local.get $p) (i32.const 150)) (then (return (call $f32.integral (local.get $a)))))
    (local.set $d (i32.sub (i32.const 150) (local.get $p)))
    (local.set $r (i32.shl (i32.shr_u (local.get $a) (local.get $d)) (local.get $d)))
    (if (i32.ge_s (local.get $a) (i32.const 0)) (then (return (local.get $r))))
    (if (i32.eq (local.get $r) (local.get $a)) (then (return (local.get $r))))
    (i32.add (local.get $r) (i32.shl (i32.const 1) (local.get $d))))

  (func $f32.nearest (export "f32.nearest") (param $a i32) (result i32)
    (local $p i32) (local $d i32)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127))
      (then
        (if (i32.lt_u (local.get $p) (i32.const 126)) (then (return (i32.and (local.get $a) (i32.const 0x80000000)))))
        (if (i32.eqz (i32.and (local.get $a) (i32.const 0x7fffff)))
          (then (return (i32.and (local.get $a) (i32.const 0x80000000)))))
        (return (i32.or (i32.and (local.get $a) (i32.const 0x80000000)) (i32.const 0x3f800000)))))
    (if (i32.ge_u (local.get $p) (i32.const 150)) (then (return (call $f32.integral (local.get $a)))))
    (local.set $d (i32.sub (i32.const 150) (local.get $p)))
    ;; half of the last place less one, and one more when that place is odd
    (local.set $p (i32.sub (i32.shl (i32.const 1) (i32.sub (local.get $d) (i32.const 1))) (i32.const 1)))
    (local.set $p (i32.add (local.get $p) (i32.and (i32.shr_u (local.get $a) (local.get $d)) (i32.const 1))))
    (i32.shl (i32.shr_u (i32.add (local.get $a) (local.get $p)) (local.get $d)) (local.get $d)))

  ;; What has no fraction stays as it is, unless it is not a number.
  (func $f32.integral (param $a i32) (result i32)
    (if (i32.gt_u (i32.and (local.get $a) (i32.const 0x7fffffff)) (i32.const 0x7f800000))
      (then (return (i32.const 0x7fc00000))))
    (local.get $a))

  ;; Comparisons: numbers of one sign compare as their bits do. Not a number: above the infinity of its sign.
  (func $f32.eq (export "f32.eq") (param $a i32) (param $b i32) (result i32)
    (if (i32.eq (local.get $a) (local.get $b))
      (then
        (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (i32.le_u (local.get $a) (i32.const 0xff800000)))))
        (return (i32.le_s (local.get $a) (i32.const 0x7f800000)))))
    (if (i32.eqz (local.get $a)) (then (return (i32.eq (local.get $b) (i32.const 0x80000000)))))
    (if (i32.eqz (local.get $b)) (then (return (i32.eq (local.get $a) (i32.const 0x80000000)))))
    (i32.const 0))

  (func $f32.ne (export "f32.ne") (param $a i32) (param $b i32) (result i32)
    (if (i32.eq (local.get $a) (local.get $b))
      (then
        (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (i32.gt_u (local.get $a) (i32.const 0xff800000)))))
        (return (i32.gt_s (local.get $a) (i32.const 0x7f800000)))))
    (if (i32.eqz (local.get $a)) (then (return (i32.ne (local.get $b) (i32.const 0x80000000)))))
    (if (i32.eqz (local.get $b)) (then (return (i32.ne (local.get $a) (i32.const 0x80000000)))))
    (i32.const 1))

  (func $f32.lt (export "f32.lt") (param $a i32) (param $b i32) (result i32)
    (if (i32.ge_s (local.get $a) (i32.const 0))
      (then
        (if (i32.lt_s (local.get $b) (i32.const 0)) (then (return (i32.const 0))))
        (if (i32.gt_s (local.get $b) (i32.const 0x7f800000)) (then (return (i32.const 0))))
        (return (i32.lt_s (local.get $a) (local.get $b)))))
    (if (i32.gt_u (local.get $a) (i32.const 0xff800000)) (then (return (i32.const 0))))
    (if (i32.lt_s (local.get $b) (i32.const 0)) (then (return (i32.gt_u (local.get $a) (local.get $b)))))
    (if (i32.gt_s (local.get $b) (i32.const 0x7f800000)) (then (return (i32.const 0))))
    (if (i32.eqz (local.get $b)) (then (return (i32.ne (local.get $a) (i32.const 0x80000000)))))
    (i32.const 1))

  (func $f32.gt (export "f32.gt") (param $b i32) (param $a i32) (result i32)
    (if (i32.ge_s (local.get $a) (i32.const 0))
      (then
        (if (i32.lt_s (local.get $b) (i32.const 0)) (then (return (i32.const 0))))
        (if (i32.gt_s (local.get $b) (i32.const 0x7f800000)) (then (return (i32.const 0))))
        (return (i32.lt_s (local.get $a) (local.get $b)))))
    (if (i32.gt_u (local.get $a) (i32.const 0xff800000)) (then (return (i32.const 0))))
    (if (i32.lt_s (local.get $b) (i32.const 0)) (then (return (i32.gt_u (local.get $a) (local.get $b)))))
    (if (i32.gt_s (local.get $b) (i32.const 0x7f800000)) (then (return (i32.const 0))))
    (if (i32.eqz (local.get $b)) (then (return (i32.ne (local.get $a) (i32.const 0x80000000)))))
    (i32.const 1))

  (func $f32.le (export "f32.le") (param $a i32) (param $b i32) (result i32)
    (if (i32.ge_s (local.get $a) (i32.const 0))
      (then
        (if (i32.lt_s (local.get $b) (i32.const 0))
          (then
            (if (i32.eqz (local.get $a)) (then (return (i32.eq (local.get $b) (i32.const 0x80000000)))))
            (return (i32.const 0))))
        (if (i32.gt_s (local.get $b) (i32.const 0x7f800000)) (then (return (i32.const 0))))
        (return (i32.le_s (local.get $a) (local.get $b)))))
    (if (i32.gt_u (local.get $a) (i32.const 0xff800000)) (then (return (i32.const 0))))
    (if (i32.lt_s (local.get $b) (i32.const 0)) (then (return (i32.ge_u (local.get $a) (local.get $b)))))
    (i32.le_s (local.get $b) (i32.const 0x7f800000)))

  (func $f32.ge (export "f32.ge") (param $b i32) (param $a i32) (result i32)
    (if (i32.ge_s (local.get $a) (i32.const 0))
      (then
        (if (i32.lt_s (local.get $b) (i32.const 0))
          (then
            (if (i32.eqz (local.get $a)) (then (return (i32.eq (local.get $b) (i32.const 0x80000000)))))
            (return (i32.const 0))))
        (if (i32.gt_s (local.get $b) (i32.const 0x7f800000)) (then (return (i32.const 0))))
        (return (i32.le_s (local.get $a) (local.get $b)))))
    (if (i32.gt_u (local.get $a) (i32.const 0xff800000)) (then (return (i32.const 0))))
    (if (i32.lt_s (local.get $b) (i32.const 0)) (then (return (i32.ge_u (local.get $a) (local.get $b)))))
    (i32.le_s (local.get $b) (i32.const 0x7f800000)))

  (func $f32.convert_i32_u (export "f32.convert_i32_u") (param $x i32) (result i32)
    (local $d i32)
    (if (i32.eqz (local.get $x)) (then (return (i32.const 0))))
    (local.set $d (i32.clz (local.get $x)))
    (if (i32.lt_u (local.get $d) (i32.const 8))
      (then
        (return
          (call $f32.pack
            (i32.const 0)
            (i32.sub (i32.const 158) (local.get $d))
            (i32.shl (local.get $x) (local.get $d))))))
    (i32.add
      (i32.shl (i32.sub (i32.const 157) (local.get $d)) (i32.const 23))
      (i32.shl (local.get $x) (i32.sub (local.get $d) (i32.const 8)))))

  (func $f32.convert_i32_s (export "f32.convert_i32_s") (param $x i32) (result i32)
    (local $d i32)
    (if (i32.gt_s (local.get $x) (i32.const 0))
      (then
        (local.set $d (i32.clz (local.get $x)))
        (if (i32.lt_u (local.get $d) (i32.const 8))
          (then
            (return
              (call $f32.pack
                (i32.const 0)
                (i32.sub (i32.const 158) (local.get $d))
                (i32.shl (local.get $x) (local.get $d))))))
        (return
          (i32.add
            (i32.shl (i32.sub (i32.const 157) (local.get $d)) (i32.const 23))
            (i32.shl (local.get $x) (i32.sub (local.get $d) (i32.const 8)))))))
    (if (i32.eqz (local.get $x)) (then (return (i32.const 0))))
    (local.set $x (i32.sub (i32.const 0) (local.get $x)))
    (local.set $d (i32.clz (local.get $x)))
    (if (i32.lt_u (local.get $d) (i32.const 8))
      (then
        (return
          (call $f32.pack
            (i32.const 0x80000000)
            (i32.sub (i32.const 158) (local.get $d))
            (i32.shl (local.get $x) (local.get $d))))))
    (i32.add
      (i32.shl (i32.sub (i32.const 413) (local.get $d)) (i32.const 23))
      (i32.shl (local.get $x) (i32.sub (local.get $d) (i32.const 8)))))

  (func $f32.convert_i64_u (export "f32.convert_i64_u") (param $x i64) (result i32)
    (call $convert (i32.const 0) (local.get $x)))

  (func $f32.convert_i64_s (export "f32.convert_i64_s") (param $x i64) (result i32)
    (if (i64.ge_s (local.get $x) (i64.const 0)) (then (return (call $convert (i32.const 0) (local.get $x)))))
    (call $convert (i32.const 0x80000000) (i64.sub (i64.const 0) (local.get $x))))

  (func $convert (param $sign i32) (param $x i64) (result i32)
    (local $d i64) (local $m i32)
    (if (i64.eqz (local.get $x)) (then (return (i32.const 0))))
    (local.set $d (i64.clz (local.get $x)))
    (if (i64.ge_u (local.get $d) (i64.const 40))
      (then
        (return (i32.or (local.get $sign) (i32.add
          (i32.shl (i32.sub (i32.const 189) (i32.wrap_i64 (local.get $d))) (i32.const 23))
          (i32.shl (i32.wrap_i64 (local.get $x)) (i32.sub (i32.wrap_i64 (local.get $d)) (i32.const 40))))))))
    (local.set $x (i64.shl (local.get $x) (local.get $d)))
    (local.set $m (i32.wrap_i64 (i64.shr_u (local.get $x) (i64.const 32))))
    (if (i32.ne (i32.wrap_i64 (local.get $x)) (i32.const 0))
      (then (local.set $m (i32.or (local.get $m) (i32.const 1)))))
    (call $f32.pack (local.get $sign) (i32.sub (i32.const 190) (i32.wrap_i64 (local.get $d))) (local.get $m)))

  (func $f32.demote_f64 (export "f32.demote_f64") (param $a i64) (result i32)
    (local $p i32) (local $s i32) (local $sign i32) (local $g i64)
    (local.set $p (i32.sub
      (i32.wrap_i64 (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
      (i32.const 896)))
    (local.set $sign (i32.and (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32))) (i32.const 0x80000000)))
    (if (i32.gt_s (local.get $p) (i32.const 0))
      (then
        (if (i32.lt_s (local.get $p) (i32.const 255))
          (then
            ;; the exponent is where it belongs, and too large by 896
            (local.set $s (i32.or
              (local.get $sign)
              (i32.sub (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 29))) (i32.const 0xc0000000))))
            (local.set $g (i64.and (local.get $a) (i64.const 0x1fffffff)))
            (if (i64.lt_u (local.get $g) (i64.const 0x10000000)) (then (return (local.get $s))))
            (if (i64.gt_u (local.get $g) (i64.const 0x10000000))
              (then (return (i32.add (local.get $s) (i32.const 1)))))
            (return (i32.add (local.get $s) (i32.and (local.get $s) (i32.const 1))))))
        (if (i64.gt_u (i64.shl (local.get $a) (i64.const 1)) (i64.const 0xffe0000000000000))
          (then (return (i32.const 0x7fc00000))))
        (return (i32.or (local.get $sign) (i32.const 0x7f800000)))))
    (if (i32.lt_s (local.get $p) (i32.const -30)) (then (return (local.get $sign))))
    (local.set $g (i64.or (i64.shl (local.get $a) (i64.const 11)) (i64.const 0x8000000000000000)))
    (local.set $s (i32.wrap_i64 (i64.shr_u (local.get $g) (i64.const 32))))
    (if (i32.ne (i32.wrap_i64 (local.get $g)) (i32.const 0))
      (then (local.set $s (i32.or (local.get $s) (i32.const 1)))))
    (call $f32.pack (local.get $sign) (local.get $p) (local.get $s))))
