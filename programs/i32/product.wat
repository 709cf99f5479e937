;; product(from, to) = from * (from + 1) * ... * to, modulo 2^32; 1 when the range is empty.
(module
  (func (export "product") (param $from i32) (param $to i32) (result i32)
    (local $product i32)
    (local.set $product (i32.const 1))
    (block $done
      (loop $again
        (br_if $done (i32.gt_s (local.get $from) (local.get $to)))
        (local.set $product (i32.mul (local.get $product) (local.get $from)))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (br $again)))
    (local.get $product)))
