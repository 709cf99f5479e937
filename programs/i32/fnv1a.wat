;; 32-bit FNV-1a over texts from a data segment: xor a byte in, multiply by 16777619.
(module
  (memory (export "memory") 1)
  (data (i32.const 0) "hello")
  (data (i32.const 64) "The quick brown fox jumps over the lazy dog")

  (func (export "fnv1a") (param $address i32) (param $length i32) (result i32)
    (local $hash i32) (local $end i32)
    (local.set $hash (i32.const 0x811c9dc5))
    (local.set $end (i32.add (local.get $address) (local.get $length)))
    (block $done
      (loop $again
        (br_if $done (i32.eq (local.get $address) (local.get $end)))
        (local.set $hash
          (i32.mul
            (i32.xor (local.get $hash) (i32.load8_u (local.get $address)))
            (i32.const 0x01000193)))
        (local.set $address (i32.add (local.get $address) (i32.const 1)))
        (br $again)))
    (local.get $hash)))
