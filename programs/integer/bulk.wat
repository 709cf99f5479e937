;; Bulk memory: a ring buffer of text that is filled from passive segments and moved with overlapping copies.
(module
  (memory (export "memory") 1)
  (data $greeting "hello, transformer")
  (data $dots "..........")

  ;; "hello, transformer" at `address`; traps once the segment has been dropped
  (func (export "put_greeting") (param $address i32) (param $length i32)
    (memory.init $greeting (local.get $address) (i32.const 0) (local.get $length)))
  (func (export "put_dots") (param $address i32) (param $length i32)
    (memory.init $dots (local.get $address) (i32.const 0) (local.get $length)))
  (func (export "drop_greeting") (data.drop $greeting))

  (func (export "move") (param $to i32) (param $from i32) (param $length i32)
    (memory.copy (local.get $to) (local.get $from) (local.get $length)))
  (func (export "fill") (param $address i32) (param $byte i32) (param $length i32)
    (memory.fill (local.get $address) (local.get $byte) (local.get $length)))

  ;; 64-bit FNV-1a of a piece of memory
  (func (export "hash") (param $address i32) (param $length i32) (result i64)
    (local $hash i64)
    (local.set $hash (i64.const 0xcbf29ce484222325))
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $length)))
        (local.set $hash
          (i64.mul
            (i64.xor (local.get $hash) (i64.load8_u (local.get $address)))
            (i64.const 0x100000001b3)))
        (local.set $address (i32.add (local.get $address) (i32.const 1)))
        (local.set $length (i32.sub (local.get $length) (i32.const 1)))
        (br $again)))
    (local.get $hash)))
