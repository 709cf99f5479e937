(module
  (func $fill (param f32) (result v128) (f32x4.splat (local.get 0)))
  (func (export "root") (param f32) (result f32) (f32x4.extract_lane 0 (f32x4.sqrt (call $fill (local.get 0)))))
  (func (export "double") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1))))
