(module
  (func $scale (param f64) (result f64) (f64.mul (local.get 0) (f64.const 2)))
  (func (export "area") (param f64) (result f64) (f64.sqrt (call $scale (local.get 0))))
  (func (export "double") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1))))
