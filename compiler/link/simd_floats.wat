;; SIMD of f32 on halves of vectors, an i64 with two lanes: one lane after the other, by the routines of f32.wat and
;; conversions.wat.
(module
  (func $lane (param $a i64) (result f32)
    (f32.reinterpret_i32 (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32)))))
  (func $both (param $low f32) (param $high f32) (result i64)
    (i64.or
      (i64.extend_i32_u (i32.reinterpret_f32 (local.get $low)))
      (i64.shl (i64.extend_i32_u (i32.reinterpret_f32 (local.get $high))) (i64.const 32))))
  (func $f32x2.ceil (export "f32x2.ceil") (param $a i64) (result i64)
    (call $both (f32.ceil (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a)))) (f32.ceil (call $lane (local.get $a)))))
  (func $f32x2.floor (export "f32x2.floor") (param $a i64) (result i64)
    (call $both (f32.floor (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a)))) (f32.floor (call $lane (local.get $a)))))
  (func $f32x2.trunc (export "f32x2.trunc") (param $a i64) (result i64)
    (call $both (f32.trunc (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a)))) (f32.trunc (call $lane (local.get $a)))))
  (func $f32x2.nearest (export "f32x2.nearest") (param $a i64) (result i64)
    (call $both (f32.nearest (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a)))) (f32.nearest (call $lane (local.get $a)))))
  (func $f32x2.sqrt (export "f32x2.sqrt") (param $a i64) (result i64)
    (call $both (f32.sqrt (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a)))) (f32.sqrt (call $lane (local.get $a)))))
  (func $f32x2.add (export "f32x2.add") (param $a i64) (param $b i64) (result i64)
    (call $both
      (f32.add (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a))) (f32.reinterpret_i32 (i32.wrap_i64 (local.get $b))))
      (f32.add (call $lane (local.get $a)) (call $lane (local.get $b)))))
  (func $f32x2.sub (export "f32x2.sub") (param $a i64) (param $b i64) (result i64)
    (call $both
      (f32.sub (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a))) (f32.reinterpret_i32 (i32.wrap_i64 (local.get $b))))
      (f32.sub (call $lane (local.get $a)) (call $lane (local.get $b)))))
  (func $f32x2.mul (export "f32x2.mul") (param $a i64) (param $b i64) (result i64)
    (call $both
      (f32.mul (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a))) (f32.reinterpret_i32 (i32.wrap_i64 (local.get $b))))
      (f32.mul (call $lane (local.get $a)) (call $lane (local.get $b)))))
  (func $f32x2.div (export "f32x2.div") (param $a i64) (param $b i64) (result i64)
    (call $both
      (f32.div (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a))) (f32.reinterpret_i32 (i32.wrap_i64 (local.get $b))))
      (f32.div (call $lane (local.get $a)) (call $lane (local.get $b)))))
  (func $f32x2.min (export "f32x2.min") (param $a i64) (param $b i64) (result i64)
    (call $both
      (f32.min (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a))) (f32.reinterpret_i32 (i32.wrap_i64 (local.get $b))))
      (f32.min (call $lane (local.get $a)) (call $lane (local.get $b)))))
  (func $f32x2.max (export "f32x2.max") (param $a i64) (param $b i64) (result i64)
    (call $both
      (f32.max (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a))) (f32.reinterpret_i32 (i32.wrap_i64 (local.get $b))))
      (f32.max (call $lane (local.get $a)) (call $lane (local.get $b)))))
  ;; b where it is less (greater) than a, with all its bits
  (func $f32x2.pmin (export "f32x2.pmin") (param $a i64) (param $b i64) (result i64)
    (local $m i64)
    (local.set $m (call $f32x2.lt (local.get $b) (local.get $a)))
    (i64.xor (local.get $a) (i64.and (i64.xor (local.get $a) (local.get $b)) (local.get $m))))
  (func $f32x2.pmax (export "f32x2.pmax") (param $a i64) (param $b i64) (result i64)
    (local $m i64)
    (local.set $m (call $f32x2.lt (local.get $a) (local.get $b)))
    (i64.xor (local.get $a) (i64.and (i64.xor (local.get $a) (local.get $b)) (local.get $m))))
  (func $f32x2.eq (export "f32x2.eq") (param $a i64) (param $b i64) (result i64)
    (i64.mul
      (i64.or
        (i64.extend_i32_u (f32.eq (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a))) (f32.reinterpret_i32 (i32.wrap_i64 (local.get $b)))))
        (i64.shl (i64.extend_i32_u (f32.eq (call $lane (local.get $a)) (call $lane (local.get $b)))) (i64.const 32)))
      (i64.const 0xffffffff)))
  (func $f32x2.ne (export "f32x2.ne") (param $a i64) (param $b i64) (result i64)
    (i64.mul
      (i64.or
        (i64.extend_i32_u (f32.ne (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a))) (f32.reinterpret_i32 (i32.wrap_i64 (local.get $b)))))
        (i64.shl (i64.extend_i32_u (f32.ne (call $lane (local.get $a)) (call $lane (local.get $b)))) (i64.const 32)))
      (i64.const 0xffffffff)))
  (func $f32x2.lt (export "f32x2.lt") (param $a i64) (param $b i64) (result i64)
    (i64.mul
      (i64.or
        (i64.extend_i32_u (f32.lt (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a))) (f32.reinterpret_i32 (i32.wrap_i64 (local.get $b)))))
        (i64.shl (i64.extend_i32_u (f32.lt (call $lane (local.get $a)) (call $lane (local.get $b)))) (i64.const 32)))
      (i64.const 0xffffffff)))
  (func $f32x2.le (export "f32x2.le") (param $a i64) (param $b i64) (result i64)
    (i64.mul
      (i64.or
        (i64.extend_i32_u (f32.le (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a))) (f32.reinterpret_i32 (i32.wrap_i64 (local.get $b)))))
        (i64.shl (i64.extend_i32_u (f32.le (call $lane (local.get $a)) (call $lane (local.get $b)))) (i64.const 32)))
      (i64.const 0xffffffff)))
  (func $f32x2.convert_i32_s (export "f32x2.convert_i32_s") (param $a i64) (result i64)
    (call $both
      (f32.convert_i32_s (i32.wrap_i64 (local.get $a)))
      (f32.convert_i32_s (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32))))))
  (func $i32x2.trunc_sat_f32_s (export "i32x2.trunc_sat_f32_s") (param $a i64) (result i64)
    (i64.or
      (i64.extend_i32_u (i32.trunc_sat_f32_s (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a)))))
      (i64.shl (i64.extend_i32_u (i32.trunc_sat_f32_s (call $lane (local.get $a)))) (i64.const 32))))
  (func $f32x2.convert_i32_u (export "f32x2.convert_i32_u") (param $a i64) (result i64)
    (call $both
      (f32.convert_i32_u (i32.wrap_i64 (local.get $a)))
      (f32.convert_i32_u (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32))))))
  (func $i32x2.trunc_sat_f32_u (export "i32x2.trunc_sat_f32_u") (param $a i64) (result i64)
    (i64.or
      (i64.extend_i32_u (i32.trunc_sat_f32_u (f32.reinterpret_i32 (i32.wrap_i64 (local.get $a)))))
      (i64.shl (i64.extend_i32_u (i32.trunc_sat_f32_u (call $lane (local.get $a)))) (i64.const 32))))
)
