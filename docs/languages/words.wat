;; Counts the words of a text; memory for it is taken from the end of what was given away before.
(module
  (memory (export "memory") 1)
  (global $end (export "end") (mut i32) (i32.const 1024))
  (func (export "malloc") (param $size i32) (result i32)
    (global.get $end)
    (global.set $end (i32.add (global.get $end) (i32.and (i32.add (local.get $size) (i32.const 15)) (i32.const -8)))))
  (func (export "count_words") (param $p i32) (param $length i32) (result i32)
    (local $end i32) (local $words i32) (local $inside i32) (local $letter i32)
    (local.set $end (i32.add (local.get $p) (local.get $length)))
    (block $done
      (loop $letters
        (br_if $done (i32.eq (local.get $p) (local.get $end)))
        (local.set $letter (i32.gt_u (i32.load8_u (local.get $p)) (i32.const 32)))
        (local.set $words
          (i32.add (local.get $words) (i32.gt_u (local.get $letter) (local.get $inside))))
        (local.set $inside (local.get $letter))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br $letters)))
    (local.get $words)))
