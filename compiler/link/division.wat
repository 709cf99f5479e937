;; 64-bit division from 32-bit division. Operands below 2^32 take one native division.
;;
;; Larger dividends:
;;   divisor < 2^16   schoolbook division, first digit 32 bits, then twice 16 bits
;;   divisor >= 2^16  underestimated digits: with the leading 16 bits of the divisor, rounded up to t <= 2^16, and the
;;                    leading 32 bits u of what is left of the dividend, u / t never exceeds the true digit; 14 bits or
;;                    more of the dividend vanish with every digit. At most a few subtractions finish.
;; A zero divisor always meets a native i32 division, which traps.
(module
  (import "w2x" "trap_integer_overflow" (func $trap_integer_overflow))

  (func $i64.div_u (export "i64.div_u") (param $a i64) (param $b i64) (result i64)
    (local $d i32) (local $r i32) (local $l i32) (local $t i32) (local $s i64) (local $y i64) (local $z i64)
    (local $q i64) (local $w i64)
    (if (i64.lt_u (local.get $b) (i64.const 0x100000000))
      (then
        (local.set $d (i32.wrap_i64 (local.get $b)))
        (if (i64.lt_u (local.get $a) (i64.const 0x100000000))
          (then (return (i64.extend_i32_u (i32.div_u (i32.wrap_i64 (local.get $a)) (local.get $d))))))
        (if (i32.lt_u (local.get $d) (i32.const 0x10000))
          (then
            (local.set $t (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32))))
            (local.set $l (i32.wrap_i64 (local.get $a)))
            (local.set $q (i64.shl (i64.extend_i32_u (i32.div_u (local.get $t) (local.get $d))) (i64.const 32)))
            (local.set $r (i32.or (i32.shl (i32.rem_u (local.get $t) (local.get $d)) (i32.const 16))
                                  (i32.shr_u (local.get $l) (i32.const 16))))
            (local.set $t (i32.or (i32.shl (i32.rem_u (local.get $r) (local.get $d)) (i32.const 16))
                                  (i32.and (local.get $l) (i32.const 0xffff))))
            (return (i64.or (local.get $q) (i64.extend_i32_u
              (i32.or (i32.shl (i32.div_u (local.get $r) (local.get $d)) (i32.const 16))
                      (i32.div_u (local.get $t) (local.get $d)))))))))
      (else (if (i64.lt_u (local.get $a) (local.get $b)) (then (return (i64.const 0))))))
    ;; b >> s has 16 bits
    (local.set $z (i64.clz (local.get $b)))
    (local.set $s (i64.sub (i64.const 48) (local.get $z)))
    (local.set $t (i32.add (i32.wrap_i64 (i64.shr_u (local.get $b) (local.get $s))) (i32.const 1)))
    (local.set $q (i64.const 0))
    (local.set $z (i64.sub (local.get $z) (i64.const 16)))
    (block $last
      (loop $digit
        ;; y: leading zeros of a; a has more than 32 bits left of bit s while y < z
        (local.set $y (i64.clz (local.get $a)))
        (br_if $last (i64.ge_s (local.get $y) (local.get $z)))
        (local.set $w (i64.shl
          (i64.extend_i32_u (i32.div_u
            (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.sub (i64.const 32) (local.get $y))))
            (local.get $t)))
          (i64.sub (local.get $z) (local.get $y))))
        (local.set $q (i64.add (local.get $q) (local.get $w)))
        (local.set $a (i64.sub (local.get $a) (i64.mul (local.get $w) (local.get $b))))
        (br $digit)))
    (local.set $w (i64.extend_i32_u (i32.div_u
      (i32.wrap_i64 (i64.shr_u (local.get $a) (local.get $s))) (local.get $t))))
    (local.set $q (i64.add (local.get $q) (local.get $w)))
    (local.set $a (i64.sub (local.get $a) (i64.mul (local.get $w) (local.get $b))))
    (block $done
      (loop $correct
        (br_if $done (i64.lt_u (local.get $a) (local.get $b)))
        (local.set $a (i64.sub (local.get $a) (local.get $b)))
        (local.set $q (i64.add (local.get $q) (i64.const 1)))
        (br $correct)))
    (local.get $q))

  ;; The same without the quotient.
  (func $i64.rem_u (export "i64.rem_u") (param $a i64) (param $b i64) (result i64)
    (local $d i32) (local $r i32) (local $t i32) (local $s i64) (local $y i64) (local $z i64)
    (if (i64.lt_u (local.get $b) (i64.const 0x100000000))
      (then
        (local.set $d (i32.wrap_i64 (local.get $b)))
        (if (i64.lt_u (local.get $a) (i64.const 0x100000000))
          (then (return (i64.extend_i32_u (i32.rem_u (i32.wrap_i64 (local.get $a)) (local.get $d))))))
        (if (i32.lt_u (local.get $d) (i32.const 0x10000))
          (then
            (local.set $t (i32.wrap_i64 (local.get $a)))
            (local.set $r (i32.or
              (i32.shl (i32.rem_u (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32))) (local.get $d)) (i32.const 16))
              (i32.shr_u (local.get $t) (i32.const 16))))
            (return (i64.extend_i32_u (i32.rem_u
              (i32.or (i32.shl (i32.rem_u (local.get $r) (local.get $d)) (i32.const 16))
                      (i32.and (local.get $t) (i32.const 0xffff)))
              (local.get $d)))))))
      (else (if (i64.lt_u (local.get $a) (local.get $b)) (then (return (local.get $a))))))
    (local.set $z (i64.clz (local.get $b)))
    (local.set $s (i64.sub (i64.const 48) (local.get $z)))
    (local.set $t (i32.add (i32.wrap_i64 (i64.shr_u (local.get $b) (local.get $s))) (i32.const 1)))
    (local.set $z (i64.sub (local.get $z) (i64.const 16)))
    (block $last
      (loop $digit
        (local.set $y (i64.clz (local.get $a)))
        (br_if $last (i64.ge_s (local.get $y) (local.get $z)))
        (local.set $a (i64.sub (local.get $a) (i64.mul (local.get $b) (i64.shl
          (i64.extend_i32_u (i32.div_u
            (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.sub (i64.const 32) (local.get $y))))
            (local.get $t)))
          (i64.sub (local.get $z) (local.get $y))))))
        (br $digit)))
    (local.set $a (i64.sub (local.get $a) (i64.mul (local.get $b) (i64.extend_i32_u (i32.div_u
      (i32.wrap_i64 (i64.shr_u (local.get $a) (local.get $s))) (local.get $t))))))
    (block $done
      (loop $correct
        (br_if $done (i64.lt_u (local.get $a) (local.get $b)))
        (local.set $a (i64.sub (local.get $a) (local.get $b)))
        (br $correct)))
    (local.get $a))

  (func $i64.div_s (export "i64.div_s") (param $a i64) (param $b i64) (result i64)
    (local $negative i32)
    (if (i64.lt_u (local.get $a) (i64.const 0x100000000))
      (then (if (i64.lt_u (local.get $b) (i64.const 0x100000000))
        (then (return (i64.extend_i32_u
          (i32.div_u (i32.wrap_i64 (local.get $a)) (i32.wrap_i64 (local.get $b)))))))))
    (local.set $negative (i32.const 0))
    (if (i64.lt_s (local.get $a) (i64.const 0))
      (then
        (local.set $a (i64.sub (i64.const 0) (local.get $a)))
        (local.set $negative (i32.const 1))))
    (if (i64.lt_s (local.get $b) (i64.const 0))
      (then
        (local.set $b (i64.sub (i64.const 0) (local.get $b)))
        (local.set $negative (i32.eqz (local.get $negative)))))
    (local.set $a (call $i64.div_u (local.get $a) (local.get $b)))
    (if (local.get $negative) (then (return (i64.sub (i64.const 0) (local.get $a)))))
    ;; only -2^63 / -1 has no positive quotient
    (if (i64.lt_s (local.get $a) (i64.const 0)) (then (call $trap_integer_overflow)))
    (local.get $a))

  ;; The remainder has the dividend's sign.
  (func $i64.rem_s (export "i64.rem_s") (param $a i64) (param $b i64) (result i64)
    (if (i64.lt_u (local.get $a) (i64.const 0x100000000))
      (then (if (i64.lt_u (local.get $b) (i64.const 0x100000000))
        (then (return (i64.extend_i32_u
          (i32.rem_u (i32.wrap_i64 (local.get $a)) (i32.wrap_i64 (local.get $b)))))))))
    (if (i64.lt_s (local.get $b) (i64.const 0)) (then (local.set $b (i64.sub (i64.const 0) (local.get $b)))))
    (if (i64.lt_s (local.get $a) (i64.const 0))
      (then (return (i64.sub (i64.const 0)
        (call $i64.rem_u (i64.sub (i64.const 0) (local.get $a)) (local.get $b))))))
    (call $i64.rem_u (local.get $a) (local.get $b))))
