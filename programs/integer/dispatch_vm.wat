;; A bytecode machine whose instructions are functions in a table: fetch an opcode, call_indirect, until one halts.
;; Values have 64 bits. An instruction gets the address behind its opcode and returns the address of the next one.
(module
  (type $instruction (func (param $pc i32) (result i32)))

  (memory (export "memory") 1)
  (table 16 funcref)
  ;; opcodes 0 to 11; 12 is a function of another type; 13 to 15 stay empty
  (elem (i32.const 0) func
    $halt $push $add $sub $mul $rem $dup $load $store $jump $jump_if $less $not_an_instruction)

  ;; 0x00: the factorial of variable 0
  (data (i32.const 0x00)
    "\01\01\08\01"              ;; 00  push 1, store 1
    "\07\00\0a\0a\09\1a"        ;; 04  load 0, jump_if 0a, jump 1a
    "\07\00\07\01\04\08\01"     ;; 0a  load 0, load 1, mul, store 1
    "\07\00\01\01\03\08\00"     ;; 11  load 0, push 1, sub, store 0
    "\09\04"                    ;; 18  jump 04
    "\07\01\00")                ;; 1a  load 1, halt
  ;; 0x40: the greatest common divisor of variables 0 and 1
  (data (i32.const 0x40)
    "\07\01\0a\46\09\53"        ;; 40  load 1, jump_if 46, jump 53
    "\07\00\07\01\05"           ;; 46  load 0, load 1, rem
    "\07\01\08\00\08\01"        ;; 4b  load 1, store 0, store 1
    "\09\40"                    ;; 51  jump 40
    "\07\00\00")                ;; 53  load 0, halt
  ;; 0x60: the sum of the squares below variable 0
  (data (i32.const 0x60)
    "\01\00\08\01\01\00\08\02"  ;; 60  push 0, store 1, push 0, store 2
    "\07\01\07\00\0b\0a\71"     ;; 68  load 1, load 0, less, jump_if 71
    "\09\84"                    ;; 6f  jump 84
    "\07\01\06\04\07\02\02\08\02"  ;; 71  load 1, dup, mul, load 2, add, store 2
    "\07\01\01\01\02\08\01"     ;; 7a  load 1, push 1, add, store 1
    "\09\68\00"                 ;; 81  jump 68
    "\07\02\00")                ;; 84  load 2, halt
  ;; 0x90: three opcodes that trap, each in its own way
  (data (i32.const 0x90) "\0c\0d\20")

  ;; variables at 0x200, the stack from 0x400 upwards
  (global $sp (mut i32) (i32.const 0x400))

  (func $push_value (param $value i64)
    (i64.store (global.get $sp) (local.get $value))
    (global.set $sp (i32.add (global.get $sp) (i32.const 8))))
  (func $pop (result i64)
    (global.set $sp (i32.sub (global.get $sp) (i32.const 8)))
    (i64.load (global.get $sp)))
  (func $variable (param $pc i32) (result i32)
    (i32.add (i32.const 0x200) (i32.shl (i32.load8_u (local.get $pc)) (i32.const 3))))
  (func $after_operand (param $pc i32) (result i32)
    (i32.add (local.get $pc) (i32.const 1)))

  (func $halt (type $instruction) (i32.const -1))
  (func $push (type $instruction)
    (call $push_value (i64.load8_s (local.get 0)))
    (call $after_operand (local.get 0)))
  (func $add (type $instruction)
    (call $push_value (i64.add (call $pop) (call $pop)))
    (local.get 0))
  (func $sub (type $instruction)
    (local $b i64)
    (local.set $b (call $pop))
    (call $push_value (i64.sub (call $pop) (local.get $b)))
    (local.get 0))
  (func $mul (type $instruction)
    (call $push_value (i64.mul (call $pop) (call $pop)))
    (local.get 0))
  (func $rem (type $instruction)
    (local $b i64)
    (local.set $b (call $pop))
    (call $push_value (i64.rem_s (call $pop) (local.get $b)))
    (local.get 0))
  (func $dup (type $instruction)
    (local $a i64)
    (local.set $a (call $pop))
    (call $push_value (local.get $a))
    (call $push_value (local.get $a))
    (local.get 0))
  (func $load (type $instruction)
    (call $push_value (i64.load (call $variable (local.get 0))))
    (call $after_operand (local.get 0)))
  (func $store (type $instruction)
    (i64.store (call $variable (local.get 0)) (call $pop))
    (call $after_operand (local.get 0)))
  (func $jump (type $instruction)
    (i32.load8_u (local.get 0)))
  (func $jump_if (type $instruction)
    (if (result i32) (i64.ne (call $pop) (i64.const 0))
      (then (i32.load8_u (local.get 0)))
      (else (call $after_operand (local.get 0)))))
  (func $less (type $instruction)
    (local $b i64)
    (local.set $b (call $pop))
    (call $push_value (i64.extend_i32_u (i64.lt_s (call $pop) (local.get $b))))
    (local.get 0))
  (func $not_an_instruction (result i64) (i64.const 0))

  ;; runs the code at `entry` with two variables set; what it leaves on top of the stack
  (func (export "run") (param $entry i32) (param $a i64) (param $b i64) (result i64)
    (local $pc i32)
    (i64.store (i32.const 0x200) (local.get $a))
    (i64.store (i32.const 0x208) (local.get $b))
    (local.set $pc (local.get $entry))
    (loop $again
      (local.set $pc
        (call_indirect (type $instruction)
          (i32.add (local.get $pc) (i32.const 1))
          (i32.load8_u (local.get $pc))))
      (br_if $again (i32.ge_s (local.get $pc) (i32.const 0))))
    (call $pop)))
