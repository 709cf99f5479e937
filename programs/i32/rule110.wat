;; The cellular automaton rule 110 (or any other elementary rule) on a ring of 32 cells, one bit each.
(module
  ;; the cells after `steps` generations
  (func (export "run") (param $rule i32) (param $cells i32) (param $steps i32) (result i32)
    (local $next i32) (local $i i32)
    (block $done
      (loop $generations
        (br_if $done (i32.eqz (local.get $steps)))
        (local.set $next (i32.const 0))
        (local.set $i (i32.const 0))
        (loop $each_cell
          ;; turned round by i - 1, the lowest three bits are a cell and its neighbours: the number of a bit of the rule
          (local.set $next
            (i32.or
              (local.get $next)
              (i32.shl
                (i32.and
                  (i32.shr_u
                    (local.get $rule)
                    (i32.and
                      (i32.rotr (local.get $cells) (i32.sub (local.get $i) (i32.const 1)))
                      (i32.const 7)))
                  (i32.const 1))
                (local.get $i))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $each_cell (i32.lt_u (local.get $i) (i32.const 32))))
        (local.set $cells (local.get $next))
        (local.set $steps (i32.sub (local.get $steps) (i32.const 1)))
        (br $generations)))
    (local.get $cells)))
