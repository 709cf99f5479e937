;; Turns a string in memory round, in place; the string comes from a data segment.
(module
  (memory (export "memory") 1)
  (data (i32.const 16) "Able was I ere I saw Elba; was it a car or a cat?\00")

  (func $length (export "length") (result i32)
    (local $n i32)
    (block $end
      (loop $again
        (br_if $end (i32.eqz (i32.load8_u offset=16 (local.get $n))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $again)))
    (local.get $n))

  ;; reverses the string and returns its length
  (func (export "reverse") (result i32)
    (local $left i32) (local $right i32) (local $byte i32) (local $n i32)
    (local.set $n (call $length))
    (local.set $right (i32.sub (local.get $n) (i32.const 1)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $left) (local.get $right)))
        (local.set $byte (i32.load8_u offset=16 (local.get $left)))
        (i32.store8 offset=16 (local.get $left) (i32.load8_u offset=16 (local.get $right)))
        (i32.store8 offset=16 (local.get $right) (local.get $byte))
        (local.set $left (i32.add (local.get $left) (i32.const 1)))
        (local.set $right (i32.sub (local.get $right) (i32.const 1)))
        (br $again)))
    (local.get $n))

  (func (export "byte") (param $i i32) (result i32)
    (i32.load8_u offset=16 (local.get $i)))

  ;; 31-polynomial hash of the string as it stands
  (func (export "hash") (result i32)
    (local $i i32) (local $hash i32) (local $byte i32)
    (block $end
      (loop $again
        (br_if $end (i32.eqz (local.tee $byte (i32.load8_u offset=16 (local.get $i)))))
        (local.set $hash (i32.add (i32.mul (local.get $hash) (i32.const 31)) (local.get $byte)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (local.get $hash)))
