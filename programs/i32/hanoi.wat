;; The Tower of Hanoi: moves n discs, keeps each peg as a bitmask of discs in memory, and checks every move.
(module
  (memory (export "memory") 1)
  (global $moves (mut i32) (i32.const 0))

  ;; takes the smallest disc of a peg to another one; traps when it would lie on a smaller disc
  (func $move_disc (param $from i32) (param $to i32)
    (local $discs i32) (local $disc i32) (local $under i32)
    (local.set $discs (i32.load (i32.shl (local.get $from) (i32.const 2))))
    ;; the lowest bit of a peg is its smallest disc
    (local.set $disc (i32.and (local.get $discs) (i32.sub (i32.const 0) (local.get $discs))))
    (local.set $under (i32.load (i32.shl (local.get $to) (i32.const 2))))
    (if (i32.and (local.get $under) (i32.sub (local.get $disc) (i32.const 1)))
      (then (unreachable)))
    (i32.store (i32.shl (local.get $from) (i32.const 2)) (i32.xor (local.get $discs) (local.get $disc)))
    (i32.store (i32.shl (local.get $to) (i32.const 2)) (i32.or (local.get $under) (local.get $disc)))
    (global.set $moves (i32.add (global.get $moves) (i32.const 1))))

  (func $move_tower (param $n i32) (param $from i32) (param $to i32) (param $by i32)
    (if (local.get $n)
      (then
        (call $move_tower
          (i32.sub (local.get $n) (i32.const 1)) (local.get $from) (local.get $by) (local.get $to))
        (call $move_disc (local.get $from) (local.get $to))
        (call $move_tower
          (i32.sub (local.get $n) (i32.const 1)) (local.get $by) (local.get $to) (local.get $from)))))

  ;; moves n discs from peg 0 to peg 2; the number of moves
  (func (export "hanoi") (param $n i32) (result i32)
    (i32.store (i32.const 0) (i32.sub (i32.shl (i32.const 1) (local.get $n)) (i32.const 1)))
    (call $move_tower (local.get $n) (i32.const 0) (i32.const 2) (i32.const 1))
    (global.get $moves))

  ;; the discs on a peg, one bit each
  (func (export "peg") (param $i i32) (result i32)
    (i32.load (i32.shl (local.get $i) (i32.const 2))))

  ;; moves one disc; traps when the rules forbid it
  (func (export "move") (param $from i32) (param $to i32)
    (call $move_disc (local.get $from) (local.get $to))))
