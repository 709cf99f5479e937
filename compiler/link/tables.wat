;; Bulk table instructions. Element i of a table is the 4-byte reference at offset + 4 * i of hidden memory; so is that
;; of an element segment. References are i32 here, null is 0.
(module
  (import "w2x" "trap_table_out_of_bounds" (func $trap_table_out_of_bounds))
  (import "w2x" "hidden_load32" (func $hidden_load32 (param i32) (result i32)))
  (import "w2x" "hidden_store32" (func $hidden_store32 (param i32 i32)))
  ;; the table, and the elements reserved for it
  (import "w2x.layout" "offset" (global $offset i32))
  (import "w2x.layout" "capacity" (global $capacity i32))
  (import "w2x.layout" "size" (global $size (mut i32)))
  ;; the table or element segment that is copied from
  (import "w2x.layout" "source_offset" (global $source_offset i32))
  (import "w2x.layout" "source_size" (global $source_size (mut i32)))

  (func $table.grow (export "table.grow") (param $reference i32) (param $n i32) (result i32)
    (local $old i32)
    (local.set $old (global.get $size))
    (if (i32.gt_u (local.get $n) (i32.sub (global.get $capacity) (local.get $old)))
      (then (return (i32.const -1))))
    (global.set $size (i32.add (local.get $old) (local.get $n)))
    ;; elements that were never written are null
    (if (local.get $reference)
      (then (call $table.fill (local.get $old) (local.get $reference) (local.get $n))))
    (local.get $old))

  (func $table.fill (export "table.fill") (param $i i32) (param $reference i32) (param $n i32)
    (if (i32.gt_u (local.get $n) (global.get $size)) (then (call $trap_table_out_of_bounds)))
    (if (i32.gt_u (local.get $i) (i32.sub (global.get $size) (local.get $n)))
      (then (call $trap_table_out_of_bounds)))
    (local.set $i (i32.add (i32.shl (local.get $i) (i32.const 2)) (global.get $offset)))
    (local.set $n (i32.add (i32.shl (local.get $n) (i32.const 2)) (local.get $i)))
    (block $done
      (loop $elements
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (call $hidden_store32 (local.get $i) (local.get $reference))
        (local.set $i (i32.add (local.get $i) (i32.const 4)))
        (br $elements))))

  ;; Also table.init, with an element segment as the source.
  (func $table.copy (export "table.copy") (param $to i32) (param $from i32) (param $n i32)
    (if (i32.gt_u (local.get $n) (global.get $source_size)) (then (call $trap_table_out_of_bounds)))
    (if (i32.gt_u (local.get $from) (i32.sub (global.get $source_size) (local.get $n)))
      (then (call $trap_table_out_of_bounds)))
    (if (i32.gt_u (local.get $n) (global.get $size)) (then (call $trap_table_out_of_bounds)))
    (if (i32.gt_u (local.get $to) (i32.sub (global.get $size) (local.get $n)))
      (then (call $trap_table_out_of_bounds)))
    (local.set $to (i32.add (i32.shl (local.get $to) (i32.const 2)) (global.get $offset)))
    (local.set $from (i32.add (i32.shl (local.get $from) (i32.const 2)) (global.get $source_offset)))
    (local.set $n (i32.shl (local.get $n) (i32.const 2)))
    (if (i32.le_u (local.get $to) (local.get $from))
      (then
        (local.set $n (i32.add (local.get $n) (local.get $to)))
        (block $done
          (loop $upwards
            (br_if $done (i32.ge_u (local.get $to) (local.get $n)))
            (call $hidden_store32 (local.get $to) (call $hidden_load32 (local.get $from)))
            (local.set $to (i32.add (local.get $to) (i32.const 4)))
            (local.set $from (i32.add (local.get $from) (i32.const 4)))
            (br $upwards)))
        (return)))
    (local.set $from (i32.add (local.get $from) (local.get $n)))
    (local.set $n (i32.add (local.get $to) (local.get $n)))
    (block $done
      (loop $downwards
        (br_if $done (i32.le_u (local.get $n) (local.get $to)))
        (local.set $n (i32.sub (local.get $n) (i32.const 4)))
        (local.set $from (i32.sub (local.get $from) (i32.const 4)))
        (call $hidden_store32 (local.get $n) (call $hidden_load32 (local.get $from)))
        (br $downwards))))

  ;; The same of tables with 64-bit indices: of both, there, or here. The length is i64 if both have them.
  (func (export "table.grow64") (param $reference i32) (param $n i64) (result i64)
    (if (i64.gt_u (local.get $n) (i64.const 0xffffffff)) (then (return (i64.const -1))))
    (i64.extend_i32_s (call $table.grow (local.get $reference) (i32.wrap_i64 (local.get $n)))))

  (func (export "table.fill64") (param $i i64) (param $reference i32) (param $n i64)
    (if (i64.gt_u (i64.or (local.get $i) (local.get $n)) (i64.const 0xffffffff))
      (then (call $trap_table_out_of_bounds)))
    (call $table.fill (i32.wrap_i64 (local.get $i)) (local.get $reference) (i32.wrap_i64 (local.get $n))))

  (func (export "table.copy64") (param $to i64) (param $from i64) (param $n i64)
    (if (i64.gt_u (i64.or (i64.or (local.get $to) (local.get $from)) (local.get $n)) (i64.const 0xffffffff))
      (then (call $trap_table_out_of_bounds)))
    (call $table.copy (i32.wrap_i64 (local.get $to)) (i32.wrap_i64 (local.get $from)) (i32.wrap_i64 (local.get $n))))

  (func (export "table.copy_to64") (param $to i64) (param $from i32) (param $n i32)
    (if (i64.gt_u (local.get $to) (i64.const 0xffffffff)) (then (call $trap_table_out_of_bounds)))
    (call $table.copy (i32.wrap_i64 (local.get $to)) (local.get $from) (local.get $n)))

  (func (export "table.copy_from64") (param $to i32) (param $from i64) (param $n i32)
    (if (i64.gt_u (local.get $from) (i64.const 0xffffffff)) (then (call $trap_table_out_of_bounds)))
    (call $table.copy (local.get $to) (i32.wrap_i64 (local.get $from)) (local.get $n)))

  (func $elem.drop (export "elem.drop")
    (global.set $size (i32.const 0))))
