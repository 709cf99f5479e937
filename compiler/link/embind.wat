;; What is registered with embind, for a module that calls it as JavaScript would: the functions of C++ are elements of the
;; program's table, and each comes with an invoker, another element, which takes it as its first argument.
(module
  (memory 4)
  (global $count (mut i32) (i32.const 0))
  ;; Remembers one. A name is an address in the program's memory; class is 0 for what is no method.
  (func $record (param $class i32) (param $name i32) (param $invoker i32) (param $function i32)
    (local $at i32)
    (if (i32.ge_u (global.get $count) (i32.const 16384)) (then (unreachable)))
    (local.set $at (i32.shl (global.get $count) (i32.const 4)))
    (i32.store (local.get $at) (local.get $class))
    (i32.store offset=4 (local.get $at) (local.get $name))
    (i32.store offset=8 (local.get $at) (local.get $invoker))
    (i32.store offset=12 (local.get $at) (local.get $function))
    (global.set $count (i32.add (global.get $count) (i32.const 1))))
  ;; How many there are.
  (func (export "embind_count") (result i32) (global.get $count))
  ;; The one at a place, from 0, in the order of registering: class, name, invoker, function.
  (func (export "embind_registered") (param $place i32) (result i32 i32 i32 i32)
    (local $at i32)
    (if (i32.ge_u (local.get $place) (global.get $count)) (then (unreachable)))
    (local.set $at (i32.shl (local.get $place) (i32.const 4)))
    (i32.load (local.get $at)) (i32.load offset=4 (local.get $at))
    (i32.load offset=8 (local.get $at)) (i32.load offset=12 (local.get $at)))
  ;; Values of JavaScript are not counted.
  (func (export "_emval_incref") (param i32))
  (func (export "_emval_decref") (param i32)))
