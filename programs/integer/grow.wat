;; An array of i64 that grows: append asks memory.grow for another page when the last one is full.
(module
  (memory (export "memory") 0 3)
  (global $count (mut i32) (i32.const 0))

  (func (export "pages") (result i32) (memory.size))

  ;; appends a value and returns its index, or -1 when the memory may not grow any more
  (func $append (export "append") (param $value i64) (result i32)
    (local $address i32)
    (local.set $address (i32.shl (global.get $count) (i32.const 3)))
    (if (i32.ge_u (local.get $address) (i32.shl (memory.size) (i32.const 16)))
      (then
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1))
          (then (return (i32.const -1))))))
    (i64.store (local.get $address) (local.get $value))
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.sub (global.get $count) (i32.const 1)))

  ;; leaves room for n values without writing them, growing by as many pages as that takes; the new size in pages
  (func (export "reserve") (param $n i32) (result i32)
    (local $pages i32)
    (local.set $pages
      (i32.shr_u (i32.add (i32.shl (local.get $n) (i32.const 3)) (i32.const 0xffff)) (i32.const 16)))
    (if (i32.gt_u (local.get $pages) (memory.size))
      (then (drop (memory.grow (i32.sub (local.get $pages) (memory.size))))))
    (memory.size))

  ;; value i; traps when there is no memory there
  (func (export "get") (param $i i32) (result i64)
    (i64.load (i32.shl (local.get $i) (i32.const 3))))

  ;; appends the first n squares; returns the index of the last
  (func (export "append_squares") (param $n i32) (result i32)
    (local $i i32) (local $square i64)
    (loop $again
      (local.set $square (i64.extend_i32_u (local.get $i)))
      (drop (call $append (i64.mul (local.get $square) (local.get $square))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
    (i32.sub (global.get $count) (i32.const 1)))

  (func (export "sum") (result i64)
    (local $i i32) (local $end i32) (local $sum i64)
    (local.set $end (i32.shl (global.get $count) (i32.const 3)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_u (local.get $i) (local.get $end)))
        (local.set $sum (i64.add (local.get $sum) (i64.load (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 8)))
        (br $again)))
    (local.get $sum)))
