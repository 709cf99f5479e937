;; memory.copy from one memory to another: they do not overlap, so it goes upwards.
(module
  (import "w2x" "memory" (memory $to 0))
  (import "w2x" "source_memory" (memory $from 0))
  (import "w2x" "memory_bytes" (global $memory_bytes (mut i32)))
  (import "w2x" "source_memory_bytes" (global $source_memory_bytes (mut i32)))
  (import "w2x" "trap_memory_out_of_bounds" (func $trap_memory_out_of_bounds))

  (func $memory.copy (export "memory.copy") (param $to i32) (param $from i32) (param $n i32)
    (local $end i32)
    (if (i32.gt_u (local.get $n) (global.get $memory_bytes)) (then (call $trap_memory_out_of_bounds)))
    (if (i32.gt_u (local.get $to) (i32.sub (global.get $memory_bytes) (local.get $n)))
      (then (call $trap_memory_out_of_bounds)))
    (if (i32.gt_u (local.get $n) (global.get $source_memory_bytes)) (then (call $trap_memory_out_of_bounds)))
    (if (i32.gt_u (local.get $from) (i32.sub (global.get $source_memory_bytes) (local.get $n)))
      (then (call $trap_memory_out_of_bounds)))
    (local.set $end (i32.add (local.get $to) (local.get $n)))
    (if (i32.ge_u (local.get $n) (i32.const 8))
      (then
        (local.set $n (i32.sub (local.get $end) (i32.const 8)))
        (loop $words
          (i64.store $to (local.get $to) (i64.load $from (local.get $from)))
          (local.set $to (i32.add (local.get $to) (i32.const 8)))
          (local.set $from (i32.add (local.get $from) (i32.const 8)))
          (br_if $words (i32.le_u (local.get $to) (local.get $n))))))
    (block $done
      (loop $bytes
        (br_if $done (i32.ge_u (local.get $to) (local.get $end)))
        (i32.store8 $to (local.get $to) (i32.load8_u $from (local.get $from)))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (br $bytes))))

  ;; With 64-bit addresses on both sides, there, or here. The length is i64 if both have them.
  (func (export "memory.copy64") (param $to i64) (param $from i64) (param $n i64)
    (if (i64.gt_u (i64.or (i64.or (local.get $to) (local.get $from)) (local.get $n)) (i64.const 0xffffffff))
      (then (call $trap_memory_out_of_bounds)))
    (call $memory.copy (i32.wrap_i64 (local.get $to)) (i32.wrap_i64 (local.get $from)) (i32.wrap_i64 (local.get $n))))

  (func (export "memory.copy_to64") (param $to i64) (param $from i32) (param $n i32)
    (if (i64.gt_u (local.get $to) (i64.const 0xffffffff)) (then (call $trap_memory_out_of_bounds)))
    (call $memory.copy (i32.wrap_i64 (local.get $to)) (local.get $from) (local.get $n)))

  (func (export "memory.copy_from64") (param $to i32) (param $from i64) (param $n i32)
    (if (i64.gt_u (local.get $from) (i64.const 0xffffffff)) (then (call $trap_memory_out_of_bounds)))
    (call $memory.copy (local.get $to) (i32.wrap_i64 (local.get $from)) (local.get $n))))
