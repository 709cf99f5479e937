;; Bulk memory instructions. Bounds are checked before anything is written; both ends are moved as whole words that may
;; overlap, so that no byte loops are needed.
(module
  (import "w2x" "memory" (memory 0))
  ;; i32.rotl(pages, 16): the bytes, and 1 for all of 4 GiB
  (import "w2x" "memory_bytes" (global $memory_bytes (mut i32)))
  (import "w2x" "trap_memory_out_of_bounds" (func $trap_memory_out_of_bounds))
  (import "w2x" "hidden_load8" (func $hidden_load8 (param i32) (result i32)))
  (import "w2x" "hidden_load32" (func $hidden_load32 (param i32) (result i32)))
  ;; pages to which the memory may grow
  (import "w2x.layout" "maximum" (global $maximum i32))
  ;; a data segment in hidden memory, and how many bytes of it are left: none once it is dropped
  (import "w2x.layout" "offset" (global $offset i32))
  (import "w2x.layout" "size" (global $size (mut i32)))

  (func $memory.grow (export "memory.grow") (param $pages i32) (result i32)
    (local $old i32)
    (local.set $old (i32.rotr (global.get $memory_bytes) (i32.const 16)))
    (if (i32.gt_u (local.get $pages) (i32.sub (global.get $maximum) (local.get $old)))
      (then (return (i32.const -1))))
    (global.set $memory_bytes (i32.rotl (i32.add (local.get $old) (local.get $pages)) (i32.const 16)))
    (local.get $old))

  ;; Where n bytes at p are beyond the end of the memory, taking its size as it stands there. Returns if they are not,
  ;; because the size is 4 GiB.
  (func $beyond (export "beyond") (param $p i32) (param $n i32)
    (if (i32.ne (global.get $memory_bytes) (i32.const 1)) (then (call $trap_memory_out_of_bounds)))
    (if (i32.gt_u (local.get $n) (i32.const 1))
      (then
        (if (i32.gt_u (local.get $p) (i32.sub (i32.const 0) (local.get $n))) (then (call $trap_memory_out_of_bounds))))))

  (func $memory.fill (export "memory.fill") (param $p i32) (param $byte i32) (param $n i32)
    (local $word i64) (local $last i32) (local $block i32)
    (if (i32.gt_u (local.get $n) (global.get $memory_bytes)) (then (call $beyond (local.get $p) (local.get $n))))
    (if (i32.gt_u (local.get $p) (i32.sub (global.get $memory_bytes) (local.get $n)))
      (then (call $beyond (local.get $p) (local.get $n))))
    (local.set $byte (i32.and (local.get $byte) (i32.const 0xff)))
    (if (i32.lt_u (local.get $n) (i32.const 8))
      (then
        (if (i32.ge_u (local.get $n) (i32.const 2))
          (then
            (local.set $byte (i32.mul (local.get $byte) (i32.const 0x01010101)))
            (local.set $last (i32.add (local.get $p) (local.get $n)))
            (if (i32.ge_u (local.get $n) (i32.const 4))
              (then
                (i32.store (local.get $p) (local.get $byte))
                (i32.store (i32.sub (local.get $last) (i32.const 4)) (local.get $byte))
                (return)))
            (i32.store16 (local.get $p) (local.get $byte))
            (i32.store16 (i32.sub (local.get $last) (i32.const 2)) (local.get $byte))
            (return)))
        (if (local.get $n) (then (i32.store8 (local.get $p) (local.get $byte))))
        (return)))
    (local.set $word (i64.mul (i64.extend_i32_u (local.get $byte)) (i64.const 0x0101010101010101)))
    (local.set $last (i32.add (local.get $p) (i32.sub (local.get $n) (i32.const 8))))
    (if (i32.gt_u (local.get $n) (i32.const 40))
      (then
        (local.set $block (i32.sub (local.get $last) (i32.const 24)))
        (loop $blocks
          (i64.store (local.get $p) (local.get $word))
          (i64.store offset=8 (local.get $p) (local.get $word))
          (i64.store offset=16 (local.get $p) (local.get $word))
          (i64.store offset=24 (local.get $p) (local.get $word))
          (local.set $p (i32.add (local.get $p) (i32.const 32)))
          (br_if $blocks (i32.lt_u (local.get $p) (local.get $block))))))
    (block $done
      (loop $words
        (br_if $done (i32.ge_u (local.get $p) (local.get $last)))
        (i64.store (local.get $p) (local.get $word))
        (local.set $p (i32.add (local.get $p) (i32.const 8)))
        (br $words)))
    (i64.store (local.get $last) (local.get $word)))

  (func $memory.copy (export "memory.copy") (param $to i32) (param $from i32) (param $n i32)
    (local $end i32) (local $word i64) (local $half i32)
    (if (i32.gt_u (local.get $n) (global.get $memory_bytes))
      (then (call $beyond (local.get $to) (local.get $n)) (call $beyond (local.get $from) (local.get $n))))
    (local.set $end (i32.sub (global.get $memory_bytes) (local.get $n)))
    (if (i32.gt_u (local.get $to) (local.get $end)) (then (call $beyond (local.get $to) (local.get $n))))
    (if (i32.gt_u (local.get $from) (local.get $end)) (then (call $beyond (local.get $from) (local.get $n))))
    (if (i32.lt_u (local.get $n) (i32.const 8))
      (then
        ;; everything is read before anything is written
        (if (i32.ge_u (local.get $n) (i32.const 4))
          (then
            (local.set $n (i32.sub (local.get $n) (i32.const 4)))
            (local.set $half (i32.load (local.get $from)))
            (local.set $end (i32.load (i32.add (local.get $from) (local.get $n))))
            (i32.store (local.get $to) (local.get $half))
            (i32.store (i32.add (local.get $to) (local.get $n)) (local.get $end))
            (return)))
        (if (i32.ge_u (local.get $n) (i32.const 2))
          (then
            (local.set $n (i32.sub (local.get $n) (i32.const 2)))
            (local.set $half (i32.load16_u (local.get $from)))
            (local.set $end (i32.load16_u (i32.add (local.get $from) (local.get $n))))
            (i32.store16 (local.get $to) (local.get $half))
            (i32.store16 (i32.add (local.get $to) (local.get $n)) (local.get $end))
            (return)))
        (if (local.get $n) (then (i32.store8 (local.get $to) (i32.load8_u (local.get $from)))))
        (return)))
    (if (i32.le_u (local.get $to) (local.get $from))
      (then
        ;; upwards; the last word is read first and written last
        (local.set $end (i32.sub (local.get $n) (i32.const 8)))
        (local.set $word (i64.load (i32.add (local.get $from) (local.get $end))))
        (local.set $end (i32.add (local.get $to) (local.get $end)))
        (if (i32.gt_u (local.get $n) (i32.const 40))
          (then
            (local.set $n (i32.sub (local.get $end) (i32.const 24)))
            (loop $blocks
              (i64.store (local.get $to) (i64.load (local.get $from)))
              (i64.store offset=8 (local.get $to) (i64.load offset=8 (local.get $from)))
              (i64.store offset=16 (local.get $to) (i64.load offset=16 (local.get $from)))
              (i64.store offset=24 (local.get $to) (i64.load offset=24 (local.get $from)))
              (local.set $to (i32.add (local.get $to) (i32.const 32)))
              (local.set $from (i32.add (local.get $from) (i32.const 32)))
              (br_if $blocks (i32.lt_u (local.get $to) (local.get $n))))))
        (block $done
          (loop $words
            (br_if $done (i32.ge_u (local.get $to) (local.get $end)))
            (i64.store (local.get $to) (i64.load (local.get $from)))
            (local.set $to (i32.add (local.get $to) (i32.const 8)))
            (local.set $from (i32.add (local.get $from) (i32.const 8)))
            (br $words)))
        (i64.store (local.get $end) (local.get $word))
        (return)))
    ;; downwards; the first word is read first and written last. n and from are the addresses of what comes next: the end of
    ;; the memory, 2^32, is none
    (local.set $word (i64.load (local.get $from)))
    (if (i32.gt_u (local.get $n) (i32.const 40))
      (then
        (local.set $end (i32.add (local.get $to) (i32.const 40)))
        (local.set $n (i32.sub (local.get $n) (i32.const 32)))
        (local.set $from (i32.add (local.get $from) (local.get $n)))
        (local.set $n (i32.add (local.get $to) (local.get $n)))
        (block $copied
          (loop $blocks
            (i64.store offset=24 (local.get $n) (i64.load offset=24 (local.get $from)))
            (i64.store offset=16 (local.get $n) (i64.load offset=16 (local.get $from)))
            (i64.store offset=8 (local.get $n) (i64.load offset=8 (local.get $from)))
            (i64.store (local.get $n) (i64.load (local.get $from)))
            (br_if $copied (i32.le_u (local.get $n) (local.get $end)))
            (local.set $n (i32.sub (local.get $n) (i32.const 32)))
            (local.set $from (i32.sub (local.get $from) (i32.const 32)))
            (br $blocks)))
        (local.set $n (i32.sub (local.get $n) (i32.const 8)))
        (local.set $from (i32.sub (local.get $from) (i32.const 8))))
      (else
        (local.set $n (i32.sub (local.get $n) (i32.const 8)))
        (local.set $from (i32.add (local.get $from) (local.get $n)))
        (local.set $n (i32.add (local.get $to) (local.get $n)))))
    (block $done
      (br_if $done (i32.eq (local.get $n) (local.get $to)))
      (local.set $end (i32.add (local.get $to) (i32.const 8)))
      (loop $words
        (i64.store (local.get $n) (i64.load (local.get $from)))
        (br_if $done (i32.le_u (local.get $n) (local.get $end)))
        (local.set $n (i32.sub (local.get $n) (i32.const 8)))
        (local.set $from (i32.sub (local.get $from) (i32.const 8)))
        (br $words)))
    (i64.store (local.get $to) (local.get $word)))

  (func $memory.init (export "memory.init") (param $to i32) (param $from i32) (param $n i32)
    (if (i32.gt_u (local.get $n) (global.get $memory_bytes)) (then (call $beyond (local.get $to) (local.get $n))))
    (if (i32.gt_u (local.get $to) (i32.sub (global.get $memory_bytes) (local.get $n)))
      (then (call $beyond (local.get $to) (local.get $n))))
    (if (i32.gt_u (local.get $n) (global.get $size)) (then (call $trap_memory_out_of_bounds)))
    (if (i32.gt_u (local.get $from) (i32.sub (global.get $size) (local.get $n)))
      (then (call $trap_memory_out_of_bounds)))
    (call $copy_hidden (local.get $to) (i32.add (local.get $from) (global.get $offset)) (local.get $n)))

  ;; The same of a memory with 64-bit addresses, which has no more than 4 GiB either. Where one is larger than 32 bits, only
  ;; nothing at the end of 4 GiB is inside, and all of them.
  (func $memory.grow64 (export "memory.grow64") (param $pages i64) (result i64)
    (if (i64.gt_u (local.get $pages) (i64.const 0xffffffff)) (then (return (i64.const -1))))
    (i64.extend_i32_s (call $memory.grow (i32.wrap_i64 (local.get $pages)))))

  (func $check_end (param $p i64) (param $n i64)
    (if (i32.ne (global.get $memory_bytes) (i32.const 1)) (then (call $trap_memory_out_of_bounds)))
    (if (i64.gt_u (local.get $p) (i64.const 0x100000000)) (then (call $trap_memory_out_of_bounds)))
    (if (i64.gt_u (local.get $n) (i64.sub (i64.const 0x100000000) (local.get $p)))
      (then (call $trap_memory_out_of_bounds))))

  (func $memory.fill64 (export "memory.fill64") (param $p i64) (param $byte i32) (param $n i64)
    (if (i64.gt_u (i64.or (local.get $p) (local.get $n)) (i64.const 0xffffffff))
      (then
        (call $check_end (local.get $p) (local.get $n))
        (if (i64.eqz (local.get $n)) (then (return)))
        (call $memory.fill (i32.const 0) (local.get $byte) (i32.const 0x80000000))
        (call $memory.fill (i32.const 0x80000000) (local.get $byte) (i32.const 0x80000000))
        (return)))
    (call $memory.fill (i32.wrap_i64 (local.get $p)) (local.get $byte) (i32.wrap_i64 (local.get $n))))

  (func $memory.copy64 (export "memory.copy64") (param $to i64) (param $from i64) (param $n i64)
    (if (i64.gt_u (i64.or (i64.or (local.get $to) (local.get $from)) (local.get $n)) (i64.const 0xffffffff))
      (then
        ;; nothing, or everything onto itself
        (call $check_end (local.get $to) (local.get $n))
        (call $check_end (local.get $from) (local.get $n))
        (return)))
    (call $memory.copy (i32.wrap_i64 (local.get $to)) (i32.wrap_i64 (local.get $from)) (i32.wrap_i64 (local.get $n))))

  (func $memory.init64 (export "memory.init64") (param $to i64) (param $from i32) (param $n i32)
    (if (i64.gt_u (local.get $to) (i64.const 0xffffffff))
      (then
        (call $check_end (local.get $to) (i64.extend_i32_u (local.get $n)))
        (local.set $to (i64.const 0))))
    (call $memory.init (i32.wrap_i64 (local.get $to)) (local.get $from) (local.get $n)))

  (func $data.drop (export "data.drop")
    (global.set $size (i32.const 0)))

  ;; n bytes of hidden memory to linear memory; the caller has checked the bounds. The end of the linear memory, 2^32, is no i32.
  (func $copy_hidden (export "copy_hidden") (param $to i32) (param $from i32) (param $n i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $from) (local.get $n)))
    (if (i32.ge_u (local.get $n) (i32.const 16))
      (then
        (local.set $n (i32.sub (local.get $end) (i32.const 16)))
        (loop $blocks
          (i32.store (local.get $to) (call $hidden_load32 (local.get $from)))
          (i32.store offset=4 (local.get $to) (call $hidden_load32 (i32.add (local.get $from) (i32.const 4))))
          (i32.store offset=8 (local.get $to) (call $hidden_load32 (i32.add (local.get $from) (i32.const 8))))
          (i32.store offset=12 (local.get $to) (call $hidden_load32 (i32.add (local.get $from) (i32.const 12))))
          (local.set $to (i32.add (local.get $to) (i32.const 16)))
          (local.set $from (i32.add (local.get $from) (i32.const 16)))
          (br_if $blocks (i32.le_u (local.get $from) (local.get $n))))))
    (block $done
      (loop $bytes
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (i32.store8 (local.get $to) (call $hidden_load8 (local.get $from)))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (br $bytes)))))
