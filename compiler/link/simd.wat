;; SIMD on halves of vectors, an i64 each: i8x8 is eight lanes of one byte. Lanes are computed together where the arithmetic
;; of an i64 can be kept from leaving them: the highest bit of each lane (top) is left out and put in afterwards. A mask is
;; ones in the lanes for which something holds; it is made of the top bits h that say so: (h << 1) - (h >> (bits - 1)).
(module

  ;; i8x8
  (func $i8x8.eq (export "i8x8.eq") (param $a i64) (param $b i64) (result i64)
    (local.set $a (i64.xor (local.get $a) (local.get $b)))
    ;; a lane that is not 0: its top bit is set, or the others carry into it
    (local.set $a (i64.or (i64.add (i64.and (local.get $a) (i64.const 0x7f7f7f7f7f7f7f7f)) (i64.const 0x7f7f7f7f7f7f7f7f)) (local.get $a)))
    (local.set $a (i64.xor (i64.and (local.get $a) (i64.const 0x8080808080808080)) (i64.const 0x8080808080808080)))
    (i64.sub (i64.shl (local.get $a) (i64.const 1)) (i64.shr_u (local.get $a) (i64.const 7))))
  (func $i8x8.lt_s (export "i8x8.lt_s") (param $a i64) (param $b i64) (result i64)
    (local $d i64)
    ;; top bits of a - b without them: the others of a are at least those of b
    (local.set $d (i64.sub (i64.or (local.get $a) (i64.const 0x8080808080808080)) (i64.and (local.get $b) (i64.const 0x7f7f7f7f7f7f7f7f))))
    (local.set $d (i64.xor (i64.or (i64.xor (local.get $a) (local.get $b)) (local.get $d)) (i64.const -1)))
    (local.set $d (i64.and (i64.or (i64.and (local.get $a) (i64.xor (local.get $b) (i64.const -1))) (local.get $d)) (i64.const 0x8080808080808080)))
    (i64.sub (i64.shl (local.get $d) (i64.const 1)) (i64.shr_u (local.get $d) (i64.const 7))))
  (func $i8x8.lt_u (export "i8x8.lt_u") (param $a i64) (param $b i64) (result i64)
    (local $d i64)
    ;; top bits of a - b without them: the others of a are at least those of b
    (local.set $d (i64.sub (i64.or (local.get $a) (i64.const 0x8080808080808080)) (i64.and (local.get $b) (i64.const 0x7f7f7f7f7f7f7f7f))))
    (local.set $d (i64.xor (i64.or (i64.xor (local.get $a) (local.get $b)) (local.get $d)) (i64.const -1)))
    (local.set $d (i64.and (i64.or (i64.and (i64.xor (local.get $a) (i64.const -1)) (local.get $b)) (local.get $d)) (i64.const 0x8080808080808080)))
    (i64.sub (i64.shl (local.get $d) (i64.const 1)) (i64.shr_u (local.get $d) (i64.const 7))))
  (func $i8x8.add_sat_u (export "i8x8.add_sat_u") (param $a i64) (param $b i64) (result i64)
    (local $s i64)
    (local.set $s (i64.xor (i64.add (i64.and (local.get $a) (i64.const 0x7f7f7f7f7f7f7f7f)) (i64.and (local.get $b) (i64.const 0x7f7f7f7f7f7f7f7f))) (i64.and (i64.xor (local.get $a) (local.get $b)) (i64.const 0x8080808080808080))))
    ;; what carries out of its lane
    (local.set $a (i64.or (i64.and (local.get $a) (local.get $b)) (i64.and (i64.or (local.get $a) (local.get $b)) (i64.xor (local.get $s) (i64.const -1)))))
    (local.set $a (i64.and (local.get $a) (i64.const 0x8080808080808080)))
    (i64.or (local.get $s) (i64.sub (i64.shl (local.get $a) (i64.const 1)) (i64.shr_u (local.get $a) (i64.const 7)))))
  (func $i8x8.sub_sat_u (export "i8x8.sub_sat_u") (param $a i64) (param $b i64) (result i64)
    (i64.and
      (i64.xor (i64.sub (i64.or (local.get $a) (i64.const 0x8080808080808080)) (i64.and (local.get $b) (i64.const 0x7f7f7f7f7f7f7f7f)))
      (i64.and (i64.xor (local.get $a) (i64.xor (local.get $b) (i64.const -1))) (i64.const 0x8080808080808080)))
      (i64.xor (call $i8x8.lt_u (local.get $a) (local.get $b)) (i64.const -1))))
  (func $i8x8.add_sat_s (export "i8x8.add_sat_s") (param $a i64) (param $b i64) (result i64)
    (local $s i64) (local $h i64)
    (local.set $s (i64.xor (i64.add (i64.and (local.get $a) (i64.const 0x7f7f7f7f7f7f7f7f)) (i64.and (local.get $b) (i64.const 0x7f7f7f7f7f7f7f7f))) (i64.and (i64.xor (local.get $a) (local.get $b)) (i64.const 0x8080808080808080))))
    ;; the sign is wrong: the greatest value, or behind it the least one, by the sign of a
    (local.set $h (i64.and (i64.and (i64.xor (local.get $a) (local.get $s)) (i64.xor (local.get $b) (local.get $s))) (i64.const 0x8080808080808080)))
    (local.set $a (i64.add (i64.shr_u (i64.and (local.get $a) (i64.const 0x8080808080808080)) (i64.const 7)) (i64.const 0x7f7f7f7f7f7f7f7f)))
    (i64.xor (local.get $s) (i64.and (i64.xor (local.get $s) (local.get $a)) (i64.sub (i64.shl (local.get $h) (i64.const 1)) (i64.shr_u (local.get $h) (i64.const 7))))))
  (func $i8x8.sub_sat_s (export "i8x8.sub_sat_s") (param $a i64) (param $b i64) (result i64)
    (local $s i64) (local $h i64)
    (local.set $s (i64.xor (i64.sub (i64.or (local.get $a) (i64.const 0x8080808080808080)) (i64.and (local.get $b) (i64.const 0x7f7f7f7f7f7f7f7f)))
      (i64.and (i64.xor (local.get $a) (i64.xor (local.get $b) (i64.const -1))) (i64.const 0x8080808080808080))))
    ;; the sign is wrong: the greatest value, or behind it the least one, by the sign of a
    (local.set $h (i64.and (i64.and (i64.xor (local.get $a) (local.get $b)) (i64.xor (local.get $a) (local.get $s))) (i64.const 0x8080808080808080)))
    (local.set $a (i64.add (i64.shr_u (i64.and (local.get $a) (i64.const 0x8080808080808080)) (i64.const 7)) (i64.const 0x7f7f7f7f7f7f7f7f)))
    (i64.xor (local.get $s) (i64.and (i64.xor (local.get $s) (local.get $a)) (i64.sub (i64.shl (local.get $h) (i64.const 1)) (i64.shr_u (local.get $h) (i64.const 7))))))

  ;; i16x4
  (func $i16x4.eq (export "i16x4.eq") (param $a i64) (param $b i64) (result i64)
    (local.set $a (i64.xor (local.get $a) (local.get $b)))
    ;; a lane that is not 0: its top bit is set, or the others carry into it
    (local.set $a (i64.or (i64.add (i64.and (local.get $a) (i64.const 0x7fff7fff7fff7fff)) (i64.const 0x7fff7fff7fff7fff)) (local.get $a)))
    (local.set $a (i64.xor (i64.and (local.get $a) (i64.const 0x8000800080008000)) (i64.const 0x8000800080008000)))
    (i64.sub (i64.shl (local.get $a) (i64.const 1)) (i64.shr_u (local.get $a) (i64.const 15))))
  (func $i16x4.lt_s (export "i16x4.lt_s") (param $a i64) (param $b i64) (result i64)
    (local $d i64)
    ;; top bits of a - b without them: the others of a are at least those of b
    (local.set $d (i64.sub (i64.or (local.get $a) (i64.const 0x8000800080008000)) (i64.and (local.get $b) (i64.const 0x7fff7fff7fff7fff))))
    (local.set $d (i64.xor (i64.or (i64.xor (local.get $a) (local.get $b)) (local.get $d)) (i64.const -1)))
    (local.set $d (i64.and (i64.or (i64.and (local.get $a) (i64.xor (local.get $b) (i64.const -1))) (local.get $d)) (i64.const 0x8000800080008000)))
    (i64.sub (i64.shl (local.get $d) (i64.const 1)) (i64.shr_u (local.get $d) (i64.const 15))))
  (func $i16x4.lt_u (export "i16x4.lt_u") (param $a i64) (param $b i64) (result i64)
    (local $d i64)
    ;; top bits of a - b without them: the others of a are at least those of b
    (local.set $d (i64.sub (i64.or (local.get $a) (i64.const 0x8000800080008000)) (i64.and (local.get $b) (i64.const 0x7fff7fff7fff7fff))))
    (local.set $d (i64.xor (i64.or (i64.xor (local.get $a) (local.get $b)) (local.get $d)) (i64.const -1)))
    (local.set $d (i64.and (i64.or (i64.and (i64.xor (local.get $a) (i64.const -1)) (local.get $b)) (local.get $d)) (i64.const 0x8000800080008000)))
    (i64.sub (i64.shl (local.get $d) (i64.const 1)) (i64.shr_u (local.get $d) (i64.const 15))))
  (func $i16x4.add_sat_u (export "i16x4.add_sat_u") (param $a i64) (param $b i64) (result i64)
    (local $s i64)
    (local.set $s (i64.xor (i64.add (i64.and (local.get $a) (i64.const 0x7fff7fff7fff7fff)) (i64.and (local.get $b) (i64.const 0x7fff7fff7fff7fff))) (i64.and (i64.xor (local.get $a) (local.get $b)) (i64.const 0x8000800080008000))))
    ;; what carries out of its lane
    (local.set $a (i64.or (i64.and (local.get $a) (local.get $b)) (i64.and (i64.or (local.get $a) (local.get $b)) (i64.xor (local.get $s) (i64.const -1)))))
    (local.set $a (i64.and (local.get $a) (i64.const 0x8000800080008000)))
    (i64.or (local.get $s) (i64.sub (i64.shl (local.get $a) (i64.const 1)) (i64.shr_u (local.get $a) (i64.const 15)))))
  (func $i16x4.sub_sat_u (export "i16x4.sub_sat_u") (param $a i64) (param $b i64) (result i64)
    (i64.and
      (i64.xor (i64.sub (i64.or (local.get $a) (i64.const 0x8000800080008000)) (i64.and (local.get $b) (i64.const 0x7fff7fff7fff7fff)))
      (i64.and (i64.xor (local.get $a) (i64.xor (local.get $b) (i64.const -1))) (i64.const 0x8000800080008000)))
      (i64.xor (call $i16x4.lt_u (local.get $a) (local.get $b)) (i64.const -1))))
  (func $i16x4.add_sat_s (export "i16x4.add_sat_s") (param $a i64) (param $b i64) (result i64)
    (local $s i64) (local $h i64)
    (local.set $s (i64.xor (i64.add (i64.and (local.get $a) (i64.const 0x7fff7fff7fff7fff)) (i64.and (local.get $b) (i64.const 0x7fff7fff7fff7fff))) (i64.and (i64.xor (local.get $a) (local.get $b)) (i64.const 0x8000800080008000))))
    ;; the sign is wrong: the greatest value, or behind it the least one, by the sign of a
    (local.set $h (i64.and (i64.and (i64.xor (local.get $a) (local.get $s)) (i64.xor (local.get $b) (local.get $s))) (i64.const 0x8000800080008000)))
    (local.set $a (i64.add (i64.shr_u (i64.and (local.get $a) (i64.const 0x8000800080008000)) (i64.const 15)) (i64.const 0x7fff7fff7fff7fff)))
    (i64.xor (local.get $s) (i64.and (i64.xor (local.get $s) (local.get $a)) (i64.sub (i64.shl (local.get $h) (i64.const 1)) (i64.shr_u (local.get $h) (i64.const 15))))))
  (func $i16x4.sub_sat_s (export "i16x4.sub_sat_s") (param $a i64) (param $b i64) (result i64)
    (local $s i64) (local $h i64)
    (local.set $s (i64.xor (i64.sub (i64.or (local.get $a) (i64.const 0x8000800080008000)) (i64.and (local.get $b) (i64.const 0x7fff7fff7fff7fff)))
      (i64.and (i64.xor (local.get $a) (i64.xor (local.get $b) (i64.const -1))) (i64.const 0x8000800080008000))))
    ;; the sign is wrong: the greatest value, or behind it the least one, by the sign of a
    (local.set $h (i64.and (i64.and (i64.xor (local.get $a) (local.get $b)) (i64.xor (local.get $a) (local.get $s))) (i64.const 0x8000800080008000)))
    (local.set $a (i64.add (i64.shr_u (i64.and (local.get $a) (i64.const 0x8000800080008000)) (i64.const 15)) (i64.const 0x7fff7fff7fff7fff)))
    (i64.xor (local.get $s) (i64.and (i64.xor (local.get $s) (local.get $a)) (i64.sub (i64.shl (local.get $h) (i64.const 1)) (i64.shr_u (local.get $h) (i64.const 15))))))

  ;; i32x2
  (func $i32x2.eq (export "i32x2.eq") (param $a i64) (param $b i64) (result i64)
    (local.set $a (i64.xor (local.get $a) (local.get $b)))
    ;; a lane that is not 0: its top bit is set, or the others carry into it
    (local.set $a (i64.or (i64.add (i64.and (local.get $a) (i64.const 0x7fffffff7fffffff)) (i64.const 0x7fffffff7fffffff)) (local.get $a)))
    (local.set $a (i64.xor (i64.and (local.get $a) (i64.const 0x8000000080000000)) (i64.const 0x8000000080000000)))
    (i64.sub (i64.shl (local.get $a) (i64.const 1)) (i64.shr_u (local.get $a) (i64.const 31))))
  (func $i32x2.lt_s (export "i32x2.lt_s") (param $a i64) (param $b i64) (result i64)
    (local $d i64)
    ;; top bits of a - b without them: the others of a are at least those of b
    (local.set $d (i64.sub (i64.or (local.get $a) (i64.const 0x8000000080000000)) (i64.and (local.get $b) (i64.const 0x7fffffff7fffffff))))
    (local.set $d (i64.xor (i64.or (i64.xor (local.get $a) (local.get $b)) (local.get $d)) (i64.const -1)))
    (local.set $d (i64.and (i64.or (i64.and (local.get $a) (i64.xor (local.get $b) (i64.const -1))) (local.get $d)) (i64.const 0x8000000080000000)))
    (i64.sub (i64.shl (local.get $d) (i64.const 1)) (i64.shr_u (local.get $d) (i64.const 31))))
  (func $i32x2.lt_u (export "i32x2.lt_u") (param $a i64) (param $b i64) (result i64)
    (local $d i64)
    ;; top bits of a - b without them: the others of a are at least those of b
    (local.set $d (i64.sub (i64.or (local.get $a) (i64.const 0x8000000080000000)) (i64.and (local.get $b) (i64.const 0x7fffffff7fffffff))))
    (local.set $d (i64.xor (i64.or (i64.xor (local.get $a) (local.get $b)) (local.get $d)) (i64.const -1)))
    (local.set $d (i64.and (i64.or (i64.and (i64.xor (local.get $a) (i64.const -1)) (local.get $b)) (local.get $d)) (i64.const 0x8000000080000000)))
    (i64.sub (i64.shl (local.get $d) (i64.const 1)) (i64.shr_u (local.get $d) (i64.const 31))))

  ;; Narrowing: the lanes of a, then those of b, as far as they fit.
  (func $i8x8.narrow_i16_s (export "i8x8.narrow_i16_s") (param $a i64) (param $b i64) (result i64)
    (i64.or (call $pack16_s (local.get $a)) (i64.shl (call $pack16_s (local.get $b)) (i64.const 32))))
  (func $pack16_s (param $a i64) (result i64)
    (i64.or
      (i64.or
      (i64.or
      (i64.extend_i32_u (call $fit8_s (i32.extend16_s (i32.wrap_i64 (local.get $a)))))
      (i64.shl (i64.extend_i32_u (call $fit8_s (i32.extend16_s (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 16)))))) (i64.const 8)))
      (i64.shl (i64.extend_i32_u (call $fit8_s (i32.extend16_s (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32)))))) (i64.const 16)))
      (i64.shl (i64.extend_i32_u (call $fit8_s (i32.extend16_s (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 48)))))) (i64.const 24))))
  (func $fit8_s (param $v i32) (result i32)
    (if (i32.gt_s (local.get $v) (i32.const 127)) (then (return (i32.const 127))))
    (if (i32.lt_s (local.get $v) (i32.const -128)) (then (return (i32.const 128))))
    (i32.and (local.get $v) (i32.const 255)))
  (func $i8x8.narrow_i16_u (export "i8x8.narrow_i16_u") (param $a i64) (param $b i64) (result i64)
    (i64.or (call $pack16_u (local.get $a)) (i64.shl (call $pack16_u (local.get $b)) (i64.const 32))))
  (func $pack16_u (param $a i64) (result i64)
    (i64.or
      (i64.or
      (i64.or
      (i64.extend_i32_u (call $fit8_u (i32.extend16_s (i32.wrap_i64 (local.get $a)))))
      (i64.shl (i64.extend_i32_u (call $fit8_u (i32.extend16_s (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 16)))))) (i64.const 8)))
      (i64.shl (i64.extend_i32_u (call $fit8_u (i32.extend16_s (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32)))))) (i64.const 16)))
      (i64.shl (i64.extend_i32_u (call $fit8_u (i32.extend16_s (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 48)))))) (i64.const 24))))
  (func $fit8_u (param $v i32) (result i32)
    (if (i32.gt_s (local.get $v) (i32.const 255)) (then (return (i32.const 255))))
    (if (i32.lt_s (local.get $v) (i32.const 0)) (then (return (i32.const 0))))
    (i32.and (local.get $v) (i32.const 255)))
  (func $i16x4.narrow_i32_s (export "i16x4.narrow_i32_s") (param $a i64) (param $b i64) (result i64)
    (i64.or (call $pack32_s (local.get $a)) (i64.shl (call $pack32_s (local.get $b)) (i64.const 32))))
  (func $pack32_s (param $a i64) (result i64)
    (i64.or
      (i64.extend_i32_u (call $fit16_s (i32.wrap_i64 (local.get $a))))
      (i64.shl (i64.extend_i32_u (call $fit16_s (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32))))) (i64.const 16))))
  (func $fit16_s (param $v i32) (result i32)
    (if (i32.gt_s (local.get $v) (i32.const 32767)) (then (return (i32.const 32767))))
    (if (i32.lt_s (local.get $v) (i32.const -32768)) (then (return (i32.const 32768))))
    (i32.and (local.get $v) (i32.const 65535)))
  (func $i16x4.narrow_i32_u (export "i16x4.narrow_i32_u") (param $a i64) (param $b i64) (result i64)
    (i64.or (call $pack32_u (local.get $a)) (i64.shl (call $pack32_u (local.get $b)) (i64.const 32))))
  (func $pack32_u (param $a i64) (result i64)
    (i64.or
      (i64.extend_i32_u (call $fit16_u (i32.wrap_i64 (local.get $a))))
      (i64.shl (i64.extend_i32_u (call $fit16_u (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32))))) (i64.const 16))))
  (func $fit16_u (param $v i32) (result i32)
    (if (i32.gt_s (local.get $v) (i32.const 65535)) (then (return (i32.const 65535))))
    (if (i32.lt_s (local.get $v) (i32.const 0)) (then (return (i32.const 0))))
    (i32.and (local.get $v) (i32.const 65535)))

  ;; Widening: the four bytes, or the two words of 16 bits, in the low half of a.
  (func $i16x4.extend_i8_u (export "i16x4.extend_i8_u") (param $a i64) (result i64)
    (local.set $a (i64.and (local.get $a) (i64.const 0xffffffff)))
    (local.set $a (i64.and (i64.or (local.get $a) (i64.shl (local.get $a) (i64.const 16))) (i64.const 0x0000ffff0000ffff)))
    (i64.and (i64.or (local.get $a) (i64.shl (local.get $a) (i64.const 8))) (i64.const 0x00ff00ff00ff00ff)))
  (func $i16x4.extend_i8_s (export "i16x4.extend_i8_s") (param $a i64) (result i64)
    (local $h i64)
    (local.set $a (call $i16x4.extend_i8_u (local.get $a)))
    ;; the sign fills the upper byte
    (local.set $h (i64.and (local.get $a) (i64.const 0x0080008000800080)))
    (i64.or (local.get $a) (i64.sub (i64.shl (local.get $h) (i64.const 9)) (i64.shl (local.get $h) (i64.const 1)))))
  (func $i32x2.extend_i16_u (export "i32x2.extend_i16_u") (param $a i64) (result i64)
    (local.set $a (i64.and (local.get $a) (i64.const 0xffffffff)))
    (i64.and (i64.or (local.get $a) (i64.shl (local.get $a) (i64.const 16))) (i64.const 0x0000ffff0000ffff)))
  (func $i32x2.extend_i16_s (export "i32x2.extend_i16_s") (param $a i64) (result i64)
    (i64.or
      (i64.extend_i32_u (i32.extend16_s (i32.wrap_i64 (local.get $a))))
      (i64.shl (i64.extend_i32_u (i32.shr_s (i32.wrap_i64 (local.get $a)) (i32.const 16))) (i64.const 32))))

  ;; Sums of two neighbours
  (func $i16x4.extadd_i8_u (export "i16x4.extadd_i8_u") (param $a i64) (result i64)
    (i64.add
      (i64.and (local.get $a) (i64.const 0x00ff00ff00ff00ff))
      (i64.and (i64.shr_u (local.get $a) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))))
  (func $i16x4.extadd_i8_s (export "i16x4.extadd_i8_s") (param $a i64) (result i64)
    (local $h i64)
    ;; of each byte plus 128; so the sum is 256 too much: bit 8 is the other way round, and is the sign then
    (local.set $a (call $i16x4.extadd_i8_u (i64.xor (local.get $a) (i64.const 0x8080808080808080))))
    (local.set $a (i64.xor (local.get $a) (i64.const 0x0100010001000100)))
    (local.set $h (i64.and (local.get $a) (i64.const 0x0100010001000100)))
    (i64.or (local.get $a) (i64.sub (i64.shl (local.get $h) (i64.const 8)) (i64.shl (local.get $h) (i64.const 1)))))
  (func $i32x2.extadd_i16_u (export "i32x2.extadd_i16_u") (param $a i64) (result i64)
    (i64.add
      (i64.and (local.get $a) (i64.const 0x0000ffff0000ffff))
      (i64.and (i64.shr_u (local.get $a) (i64.const 16)) (i64.const 0x0000ffff0000ffff))))
  (func $i32x2.extadd_i16_s (export "i32x2.extadd_i16_s") (param $a i64) (result i64)
    (i64.or
      (call $neighbours (i32.wrap_i64 (local.get $a)))
      (i64.shl (call $neighbours (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32)))) (i64.const 32))))
  (func $neighbours (param $w i32) (result i64)
    (i64.extend_i32_u (i32.add (i32.extend16_s (local.get $w)) (i32.shr_s (local.get $w) (i32.const 16)))))

  ;; Products. In the low 16 bits of a product of i64 nothing comes from other lanes.
  (func $i16x4.mul (export "i16x4.mul") (param $a i64) (param $b i64) (result i64)
    (i64.or
      (i64.or
        (i64.and (i64.mul (local.get $a) (local.get $b)) (i64.const 0xffff))
        (i64.shl
          (i64.and
            (i64.mul (i64.shr_u (local.get $a) (i64.const 16)) (i64.shr_u (local.get $b) (i64.const 16)))
            (i64.const 0xffff))
          (i64.const 16)))
      (i64.or
        (i64.shl
          (i64.and
            (i64.mul (i64.shr_u (local.get $a) (i64.const 32)) (i64.shr_u (local.get $b) (i64.const 32)))
            (i64.const 0xffff))
          (i64.const 32))
        (i64.shl
          (i64.mul (i64.shr_u (local.get $a) (i64.const 48)) (i64.shr_u (local.get $b) (i64.const 48)))
          (i64.const 48)))))
  (func $i16x4.extmul_i8_s (export "i16x4.extmul_i8_s") (param $a i64) (param $b i64) (result i64)
    (call $i16x4.mul (call $i16x4.extend_i8_s (local.get $a)) (call $i16x4.extend_i8_s (local.get $b))))
  (func $i16x4.extmul_i8_u (export "i16x4.extmul_i8_u") (param $a i64) (param $b i64) (result i64)
    (call $i16x4.mul (call $i16x4.extend_i8_u (local.get $a)) (call $i16x4.extend_i8_u (local.get $b))))
  (func $i32x2.extmul_i16_s (export "i32x2.extmul_i16_s") (param $a i64) (param $b i64) (result i64)
    (local $x i32) (local $y i32)
    (local.set $x (i32.wrap_i64 (local.get $a)))
    (local.set $y (i32.wrap_i64 (local.get $b)))
    (i64.or
      (i64.extend_i32_u (i32.mul (i32.extend16_s (local.get $x)) (i32.extend16_s (local.get $y))))
      (i64.shl
        (i64.extend_i32_u
          (i32.mul (i32.shr_s (local.get $x) (i32.const 16)) (i32.shr_s (local.get $y) (i32.const 16))))
        (i64.const 32))))
  (func $i32x2.extmul_i16_u (export "i32x2.extmul_i16_u") (param $a i64) (param $b i64) (result i64)
    (local $x i32) (local $y i32)
    (local.set $x (i32.wrap_i64 (local.get $a)))
    (local.set $y (i32.wrap_i64 (local.get $b)))
    (i64.or
      (i64.extend_i32_u
        (i32.mul (i32.and (local.get $x) (i32.const 0xffff)) (i32.and (local.get $y) (i32.const 0xffff))))
      (i64.shl
        (i64.extend_i32_u
          (i32.mul (i32.shr_u (local.get $x) (i32.const 16)) (i32.shr_u (local.get $y) (i32.const 16))))
        (i64.const 32))))
  (func $i32x2.dot_i16_s (export "i32x2.dot_i16_s") (param $a i64) (param $b i64) (result i64)
    (i64.or
      (call $dot (i32.wrap_i64 (local.get $a)) (i32.wrap_i64 (local.get $b)))
      (i64.shl
        (call $dot
          (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32)))
          (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 32))))
        (i64.const 32))))
  (func $dot (param $x i32) (param $y i32) (result i64)
    (i64.extend_i32_u (i32.add
      (i32.mul (i32.extend16_s (local.get $x)) (i32.extend16_s (local.get $y)))
      (i32.mul (i32.shr_s (local.get $x) (i32.const 16)) (i32.shr_s (local.get $y) (i32.const 16))))))
  ;; of bytes, both signed; the sum of two products is cut to 16 bits
  (func $i16x4.dot_i8_s (export "i16x4.dot_i8_s") (param $a i64) (param $b i64) (result i64)
    (local $p i64) (local $q i64)
    (local.set $p (call $i16x4.mul (call $even (local.get $a)) (call $even (local.get $b))))
    (local.set $q (call $i16x4.mul
      (call $even (i64.shr_u (local.get $a) (i64.const 8))) (call $even (i64.shr_u (local.get $b) (i64.const 8)))))
    (i64.xor
      (i64.add
        (i64.and (local.get $p) (i64.const 0x7fff7fff7fff7fff))
        (i64.and (local.get $q) (i64.const 0x7fff7fff7fff7fff)))
      (i64.and (i64.xor (local.get $p) (local.get $q)) (i64.const 0x8000800080008000))))
  (func $even (param $a i64) (result i64)
    (local $h i64)
    (local.set $h (i64.and (local.get $a) (i64.const 0x0080008000800080)))
    (i64.or
      (i64.and (local.get $a) (i64.const 0x00ff00ff00ff00ff))
      (i64.sub (i64.shl (local.get $h) (i64.const 9)) (i64.shl (local.get $h) (i64.const 1)))))
  (func $i16x4.q15mulr_sat_s (export "i16x4.q15mulr_sat_s") (param $a i64) (param $b i64) (result i64)
    (i64.or
      (i64.or
        (call $q15 (i32.wrap_i64 (local.get $a)) (i32.wrap_i64 (local.get $b)))
        (i64.shl
          (call $q15
            (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 16)))
            (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 16))))
          (i64.const 16)))
      (i64.or
        (i64.shl
          (call $q15
            (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 32)))
            (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 32))))
          (i64.const 32))
        (i64.shl
          (call $q15
            (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 48)))
            (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 48))))
          (i64.const 48)))))
  ;; (x y + 2^14) >> 15; only -1 times -1 does not fit
  (func $q15 (param $x i32) (param $y i32) (result i64)
    (local.set $x (i32.shr_s
      (i32.add (i32.mul (i32.extend16_s (local.get $x)) (i32.extend16_s (local.get $y))) (i32.const 0x4000))
      (i32.const 15)))
    (if (i32.eq (local.get $x) (i32.const 0x8000)) (then (return (i64.const 0x7fff))))
    (i64.extend_i32_u (i32.and (local.get $x) (i32.const 0xffff))))

  ;; The bytes of a vector (low, high) whose numbers are the bytes of n; 0 for a number above 15
  (func $i8x8.swizzle (export "i8x8.swizzle") (param $low i64) (param $high i64) (param $n i64) (result i64)
    (local $r i64) (local $i i64) (local $at i64)
    (loop $next
      (local.set $at (i64.and (i64.shr_u (local.get $n) (local.get $i)) (i64.const 0xff)))
      (if (i64.lt_u (local.get $at) (i64.const 16))
        (then
          (local.set $r (i64.or (local.get $r) (i64.shl
            (i64.and
              (i64.shr_u
                (select (local.get $low) (local.get $high) (i64.lt_u (local.get $at) (i64.const 8)))
                (i64.shl (local.get $at) (i64.const 3)))
              (i64.const 0xff))
            (local.get $i))))))
      (local.set $i (i64.add (local.get $i) (i64.const 8)))
      (br_if $next (i64.ne (local.get $i) (i64.const 64))))
    (local.get $r))
)
