;; A registry of functions: table.get, set, size, grow, fill, copy and init, and calls through what stands there.
(module
  (type $unary (func (param i64) (result i64)))

  (table $registry 4 8 funcref)
  (table $spare 4 funcref)
  (elem $defaults func $double $negate $square)
  (elem declare func $increment)

  (func $double (type $unary) (i64.shl (local.get 0) (i64.const 1)))
  (func $negate (type $unary) (i64.sub (i64.const 0) (local.get 0)))
  (func $square (type $unary) (i64.mul (local.get 0) (local.get 0)))
  (func $increment (type $unary) (i64.add (local.get 0) (i64.const 1)))

  ;; entries 0 to 2 become double, negate and square
  (func (export "load_defaults")
    (table.init $registry $defaults (i32.const 0) (i32.const 0) (i32.const 3)))
  (func (export "drop_defaults") (elem.drop $defaults))
  (func (export "set_increment") (param $i i32)
    (table.set $registry (local.get $i) (ref.func $increment)))
  (func (export "remove") (param $i i32)
    (table.set $registry (local.get $i) (ref.null func)))
  (func (export "is_empty") (param $i i32) (result i32)
    (ref.is_null (table.get $registry (local.get $i))))
  (func (export "size") (result i32) (table.size $registry))
  ;; n more entries, all of them increment; the old size, or -1
  (func (export "grow") (param $n i32) (result i32)
    (table.grow $registry (ref.func $increment) (local.get $n)))
  (func (export "clear") (param $from i32) (param $n i32)
    (table.fill $registry (local.get $from) (ref.null func) (local.get $n)))
  (func (export "shift") (param $to i32) (param $from i32) (param $n i32)
    (table.copy $registry $registry (local.get $to) (local.get $from) (local.get $n)))
  ;; saves the first four entries to the second table, and brings them back
  (func (export "save") (table.copy $spare $registry (i32.const 0) (i32.const 0) (i32.const 4)))
  (func (export "restore") (table.copy $registry $spare (i32.const 0) (i32.const 0) (i32.const 4)))

  (func $apply (export "apply") (param $i i32) (param $x i64) (result i64)
    (call_indirect $registry (type $unary) (local.get $x) (local.get $i)))

  ;; x through entries 0, 1, ... n - 1 in turn
  (func (export "pipeline") (param $n i32) (param $x i64) (result i64)
    (local $i i32)
    (block $done
      (loop $again
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $x (call $apply (local.get $i) (local.get $x)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (local.get $x)))
