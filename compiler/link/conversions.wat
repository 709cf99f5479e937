;; Floats to integers, towards zero. m is the significand with its leading bit on top of a word; the exponent says how
;; far to shift it. What does not fit traps, or for trunc_sat becomes the nearest integer; NaN becomes 0.
(module
  (import "w2x" "trap_integer_overflow" (func $overflow))
  (import "w2x" "trap_invalid_conversion" (func $invalid))

  (func $i32.trunc_f32_s (export "i32.trunc_f32_s") (param $a i32) (result i32)
    (local $p i32) (local $m i32)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127)) (then (return (i32.const 0))))
    (block $fits
      (br_if $fits (i32.le_u (local.get $p) (i32.const 157)))
      (if (i32.eq (local.get $a) (i32.const 0xcf000000)) (then (return (i32.const 0x80000000))))
      (if (i32.gt_u (i32.shl (local.get $a) (i32.const 1)) (i32.const 0xff000000)) (then (call $invalid)))
      (call $overflow))
    (local.set $m (i32.shr_u
      (i32.or (i32.shl (local.get $a) (i32.const 8)) (i32.const 0x80000000))
      (i32.sub (i32.const 158) (local.get $p))))
    (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (i32.sub (i32.const 0) (local.get $m)))))
    (local.get $m))

  (func $i32.trunc_sat_f32_s (export "i32.trunc_sat_f32_s") (param $a i32) (result i32)
    (local $p i32) (local $m i32)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127)) (then (return (i32.const 0))))
    (block $fits
      (br_if $fits (i32.le_u (local.get $p) (i32.const 157)))
      (if (i32.gt_u (i32.shl (local.get $a) (i32.const 1)) (i32.const 0xff000000)) (then (return (i32.const 0))))
      (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (i32.const 0x80000000))))
      (return (i32.const 0x7fffffff)))
    (local.set $m (i32.shr_u
      (i32.or (i32.shl (local.get $a) (i32.const 8)) (i32.const 0x80000000))
      (i32.sub (i32.const 158) (local.get $p))))
    (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (i32.sub (i32.const 0) (local.get $m)))))
    (local.get $m))

  (func $i32.trunc_f32_u (export "i32.trunc_f32_u") (param $a i32) (result i32)
    (local $p i32) (local $m i32)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127)) (then (return (i32.const 0))))
    (block $fits
      (block $beyond
        (br_if $beyond (i32.lt_s (local.get $a) (i32.const 0)))
        (br_if $fits (i32.le_u (local.get $p) (i32.const 158))))
      (if (i32.gt_u (i32.shl (local.get $a) (i32.const 1)) (i32.const 0xff000000)) (then (call $invalid)))
      (call $overflow))
    (local.set $m (i32.shr_u
      (i32.or (i32.shl (local.get $a) (i32.const 8)) (i32.const 0x80000000))
      (i32.sub (i32.const 158) (local.get $p))))
    (local.get $m))

  (func $i32.trunc_sat_f32_u (export "i32.trunc_sat_f32_u") (param $a i32) (result i32)
    (local $p i32) (local $m i32)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127)) (then (return (i32.const 0))))
    (block $fits
      (block $beyond
        (br_if $beyond (i32.lt_s (local.get $a) (i32.const 0)))
        (br_if $fits (i32.le_u (local.get $p) (i32.const 158))))
      (if (i32.gt_u (i32.shl (local.get $a) (i32.const 1)) (i32.const 0xff000000)) (then (return (i32.const 0))))
      (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (i32.const 0))))
      (return (i32.const 0xffffffff)))
    (local.set $m (i32.shr_u
      (i32.or (i32.shl (local.get $a) (i32.const 8)) (i32.const 0x80000000))
      (i32.sub (i32.const 158) (local.get $p))))
    (local.get $m))

  (func $i64.trunc_f32_s (export "i64.trunc_f32_s") (param $a i32) (result i64)
    (local $p i32) (local $m i64)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127)) (then (return (i64.const 0))))
    (block $fits
      (br_if $fits (i32.le_u (local.get $p) (i32.const 189)))
      (if (i32.eq (local.get $a) (i32.const 0xdf000000)) (then (return (i64.const 0x8000000000000000))))
      (if (i32.gt_u (i32.shl (local.get $a) (i32.const 1)) (i32.const 0xff000000)) (then (call $invalid)))
      (call $overflow))
    (local.set $m (i64.shl (i64.extend_i32_u
      (i32.or (i32.shl (local.get $a) (i32.const 8)) (i32.const 0x80000000))) (i64.const 32)))
    (local.set $m (i64.shr_u (local.get $m)
      (i64.extend_i32_u (i32.sub (i32.const 190) (local.get $p)))))
    (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (i64.sub (i64.const 0) (local.get $m)))))
    (local.get $m))

  (func $i64.trunc_sat_f32_s (export "i64.trunc_sat_f32_s") (param $a i32) (result i64)
    (local $p i32) (local $m i64)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127)) (then (return (i64.const 0))))
    (block $fits
      (br_if $fits (i32.le_u (local.get $p) (i32.const 189)))
      (if (i32.gt_u (i32.shl (local.get $a) (i32.const 1)) (i32.const 0xff000000)) (then (return (i64.const 0))))
      (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (i64.const 0x8000000000000000))))
      (return (i64.const 0x7fffffffffffffff)))
    (local.set $m (i64.shl (i64.extend_i32_u
      (i32.or (i32.shl (local.get $a) (i32.const 8)) (i32.const 0x80000000))) (i64.const 32)))
    (local.set $m (i64.shr_u (local.get $m)
      (i64.extend_i32_u (i32.sub (i32.const 190) (local.get $p)))))
    (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (i64.sub (i64.const 0) (local.get $m)))))
    (local.get $m))

  (func $i64.trunc_f32_u (export "i64.trunc_f32_u") (param $a i32) (result i64)
    (local $p i32) (local $m i64)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127)) (then (return (i64.const 0))))
    (block $fits
      (block $beyond
        (br_if $beyond (i32.lt_s (local.get $a) (i32.const 0)))
        (br_if $fits (i32.le_u (local.get $p) (i32.const 190))))
      (if (i32.gt_u (i32.shl (local.get $a) (i32.const 1)) (i32.const 0xff000000)) (then (call $invalid)))
      (call $overflow))
    (local.set $m (i64.shl (i64.extend_i32_u
      (i32.or (i32.shl (local.get $a) (i32.const 8)) (i32.const 0x80000000))) (i64.const 32)))
    (local.set $m (i64.shr_u (local.get $m)
      (i64.extend_i32_u (i32.sub (i32.const 190) (local.get $p)))))
    (local.get $m))

  (func $i64.trunc_sat_f32_u (export "i64.trunc_sat_f32_u") (param $a i32) (result i64)
    (local $p i32) (local $m i64)
    (local.set $p (i32.and (i32.shr_u (local.get $a) (i32.const 23)) (i32.const 255)))
    (if (i32.lt_u (local.get $p) (i32.const 127)) (then (return (i64.const 0))))
    (block $fits
      (block $beyond
        (br_if $beyond (i32.lt_s (local.get $a) (i32.const 0)))
        (br_if $fits (i32.le_u (local.get $p) (i32.const 190))))
      (if (i32.gt_u (i32.shl (local.get $a) (i32.const 1)) (i32.const 0xff000000)) (then (return (i64.const 0))))
      (if (i32.lt_s (local.get $a) (i32.const 0)) (then (return (i64.const 0))))
      (return (i64.const 0xffffffffffffffff)))
    (local.set $m (i64.shl (i64.extend_i32_u
      (i32.or (i32.shl (local.get $a) (i32.const 8)) (i32.const 0x80000000))) (i64.const 32)))
    (local.set $m (i64.shr_u (local.get $m)
      (i64.extend_i32_u (i32.sub (i32.const 190) (local.get $p)))))
    (local.get $m))

  (func $i32.trunc_f64_s (export "i32.trunc_f64_s") (param $a i64) (result i32)
    (local $p i64) (local $m i32)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023)) (then (return (i32.const 0))))
    (block $fits
      (br_if $fits (i64.le_u (local.get $p) (i64.const 1053)))
      ;; from -2^31 down to above -2^31 - 1
      (if (i64.eq (i64.shr_u (local.get $a) (i64.const 21)) (i64.const 0x60f00000000))
        (then (return (i32.const 0x80000000))))
      (if (i64.gt_u (i64.shl (local.get $a) (i64.const 1)) (i64.const 0xffe0000000000000)) (then (call $invalid)))
      (call $overflow))
    (local.set $m (i32.shr_u
      (i32.or (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 21))) (i32.const 0x80000000))
      (i32.wrap_i64 (i64.sub (i64.const 1054) (local.get $p)))))
    (if (i64.lt_s (local.get $a) (i64.const 0)) (then (return (i32.sub (i32.const 0) (local.get $m)))))
    (local.get $m))

  (func $i32.trunc_sat_f64_s (export "i32.trunc_sat_f64_s") (param $a i64) (result i32)
    (local $p i64) (local $m i32)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023)) (then (return (i32.const 0))))
    (block $fits
      (br_if $fits (i64.le_u (local.get $p) (i64.const 1053)))
      (if (i64.gt_u (i64.shl (local.get $a) (i64.const 1)) (i64.const 0xffe0000000000000))
        (then (return (i32.const 0))))
      (if (i64.lt_s (local.get $a) (i64.const 0)) (then (return (i32.const 0x80000000))))
      (return (i32.const 0x7fffffff)))
    (local.set $m (i32.shr_u
      (i32.or (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 21))) (i32.const 0x80000000))
      (i32.wrap_i64 (i64.sub (i64.const 1054) (local.get $p)))))
    (if (i64.lt_s (local.get $a) (i64.const 0)) (then (return (i32.sub (i32.const 0) (local.get $m)))))
    (local.get $m))

  (func $i32.trunc_f64_u (export "i32.trunc_f64_u") (param $a i64) (result i32)
    (local $p i64) (local $m i32)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023)) (then (return (i32.const 0))))
    (block $fits
      (block $beyond
        (br_if $beyond (i64.lt_s (local.get $a) (i64.const 0)))
        (br_if $fits (i64.le_u (local.get $p) (i64.const 1054))))
      (if (i64.gt_u (i64.shl (local.get $a) (i64.const 1)) (i64.const 0xffe0000000000000)) (then (call $invalid)))
      (call $overflow))
    (local.set $m (i32.shr_u
      (i32.or (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 21))) (i32.const 0x80000000))
      (i32.wrap_i64 (i64.sub (i64.const 1054) (local.get $p)))))
    (local.get $m))

  (func $i32.trunc_sat_f64_u (export "i32.trunc_sat_f64_u") (param $a i64) (result i32)
    (local $p i64) (local $m i32)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023)) (then (return (i32.const 0))))
    (block $fits
      (block $beyond
        (br_if $beyond (i64.lt_s (local.get $a) (i64.const 0)))
        (br_if $fits (i64.le_u (local.get $p) (i64.const 1054))))
      (if (i64.gt_u (i64.shl (local.get $a) (i64.const 1)) (i64.const 0xffe0000000000000))
        (then (return (i32.const 0))))
      (if (i64.lt_s (local.get $a) (i64.const 0)) (then (return (i32.const 0))))
      (return (i32.const 0xffffffff)))
    (local.set $m (i32.shr_u
      (i32.or (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 21))) (i32.const 0x80000000))
      (i32.wrap_i64 (i64.sub (i64.const 1054) (local.get $p)))))
    (local.get $m))

  (func $i64.trunc_f64_s (export "i64.trunc_f64_s") (param $a i64) (result i64)
    (local $p i64) (local $m i64)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023)) (then (return (i64.const 0))))
    (block $fits
      (br_if $fits (i64.le_u (local.get $p) (i64.const 1085)))
      (if (i64.eq (local.get $a) (i64.const 0xc3e0000000000000)) (then (return (i64.const 0x8000000000000000))))
      (if (i64.gt_u (i64.shl (local.get $a) (i64.const 1)) (i64.const 0xffe0000000000000)) (then (call $invalid)))
      (call $overflow))
    (local.set $m (i64.shr_u
      (i64.or (i64.shl (local.get $a) (i64.const 11)) (i64.const 0x8000000000000000))
      (i64.sub (i64.const 1086) (local.get $p))))
    (if (i64.lt_s (local.get $a) (i64.const 0)) (then (return (i64.sub (i64.const 0) (local.get $m)))))
    (local.get $m))

  (func $i64.trunc_sat_f64_s (export "i64.trunc_sat_f64_s") (param $a i64) (result i64)
    (local $p i64) (local $m i64)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023)) (then (return (i64.const 0))))
    (block $fits
      (br_if $fits (i64.le_u (local.get $p) (i64.const 1085)))
      (if (i64.gt_u (i64.shl (local.get $a) (i64.const 1)) (i64.const 0xffe0000000000000))
        (then (return (i64.const 0))))
      (if (i64.lt_s (local.get $a) (i64.const 0)) (then (return (i64.const 0x8000000000000000))))
      (return (i64.const 0x7fffffffffffffff)))
    (local.set $m (i64.shr_u
      (i64.or (i64.shl (local.get $a) (i64.const 11)) (i64.const 0x8000000000000000))
      (i64.sub (i64.const 1086) (local.get $p))))
    (if (i64.lt_s (local.get $a) (i64.const 0)) (then (return (i64.sub (i64.const 0) (local.get $m)))))
    (local.get $m))

  (func $i64.trunc_f64_u (export "i64.trunc_f64_u") (param $a i64) (result i64)
    (local $p i64) (local $m i64)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023)) (then (return (i64.const 0))))
    (block $fits
      (block $beyond
        (br_if $beyond (i64.lt_s (local.get $a) (i64.const 0)))
        (br_if $fits (i64.le_u (local.get $p) (i64.const 1086))))
      (if (i64.gt_u (i64.shl (local.get $a) (i64.const 1)) (i64.const 0xffe0000000000000)) (then (call $invalid)))
      (call $overflow))
    (local.set $m (i64.shr_u
      (i64.or (i64.shl (local.get $a) (i64.const 11)) (i64.const 0x8000000000000000))
      (i64.sub (i64.const 1086) (local.get $p))))
    (local.get $m))

  (func $i64.trunc_sat_f64_u (export "i64.trunc_sat_f64_u") (param $a i64) (result i64)
    (local $p i64) (local $m i64)
    (local.set $p (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (if (i64.lt_u (local.get $p) (i64.const 1023)) (then (return (i64.const 0))))
    (block $fits
      (block $beyond
        (br_if $beyond (i64.lt_s (local.get $a) (i64.const 0)))
        (br_if $fits (i64.le_u (local.get $p) (i64.const 1086))))
      (if (i64.gt_u (i64.shl (local.get $a) (i64.const 1)) (i64.const 0xffe0000000000000))
        (then (return (i64.const 0))))
      (if (i64.lt_s (local.get $a) (i64.const 0)) (then (return (i64.const 0))))
      (return (i64.const 0xffffffffffffffff)))
    (local.set $m (i64.shr_u
      (i64.or (i64.shl (local.get $a) (i64.const 11)) (i64.const 0x8000000000000000))
      (i64.sub (i64.const 1086) (local.get $p))))
    (local.get $m)))
