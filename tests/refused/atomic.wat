(module (memory 1)
  (func $count (param i32) (result i32) (i32.atomic.rmw.add (local.get 0) (i32.const 1)))
  (func (export "root") (param i32) (result i32) (i32.add (i32.atomic.load (local.get 0)) (call $count (local.get 0))))
  (func (export "double") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1))))
