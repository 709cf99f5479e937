(module
  (func $fused (param v128) (result v128) (f32x4.relaxed_madd (local.get 0) (local.get 0) (local.get 0)))
  (func (export "root") (param v128) (result v128) (f64x2.relaxed_nmadd (local.get 0) (local.get 0) (call $fused (local.get 0))))
  (func (export "double") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1))))
