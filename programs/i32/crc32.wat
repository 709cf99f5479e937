;; CRC-32 (the one of zip and Ethernet): bit by bit, and with the usual table of 256 words, which it builds first.
(module
  (memory (export "memory") 1)
  (data (i32.const 0) "123456789")
  (data (i32.const 64) "The quick brown fox jumps over the lazy dog")
  ;; the table of 256 words is built at address 1024
  (global $table_ready (mut i32) (i32.const 0))

  ;; eight steps of the shift register, polynomial 0x04c11db7 reflected
  (func $eight_bits (param $crc i32) (result i32)
    (local $bits i32)
    (local.set $bits (i32.const 8))
    (loop $again
      (local.set $crc
        (i32.xor
          (i32.shr_u (local.get $crc) (i32.const 1))
          (i32.and
            (i32.const 0xedb88320)
            (i32.sub (i32.const 0) (i32.and (local.get $crc) (i32.const 1))))))
      (br_if $again (local.tee $bits (i32.sub (local.get $bits) (i32.const 1)))))
    (local.get $crc))

  (func (export "crc32_bitwise") (param $address i32) (param $length i32) (result i32)
    (local $crc i32)
    (local.set $crc (i32.const -1))
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $length)))
        (local.set $crc
          (call $eight_bits (i32.xor (local.get $crc) (i32.load8_u (local.get $address)))))
        (local.set $address (i32.add (local.get $address) (i32.const 1)))
        (local.set $length (i32.sub (local.get $length) (i32.const 1)))
        (br $again)))
    (i32.xor (local.get $crc) (i32.const -1)))

  (func $make_table
    (local $i i32)
    (loop $again
      (i32.store offset=1024
        (i32.shl (local.get $i) (i32.const 2))
        (call $eight_bits (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 256))))
    (global.set $table_ready (i32.const 1)))

  (func (export "crc32") (param $address i32) (param $length i32) (result i32)
    (local $crc i32)
    (if (i32.eqz (global.get $table_ready)) (then (call $make_table)))
    (local.set $crc (i32.const -1))
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $length)))
        (local.set $crc
          (i32.xor
            (i32.shr_u (local.get $crc) (i32.const 8))
            (i32.load offset=1024
              (i32.shl
                (i32.and
                  (i32.xor (local.get $crc) (i32.load8_u (local.get $address)))
                  (i32.const 255))
                (i32.const 2)))))
        (local.set $address (i32.add (local.get $address) (i32.const 1)))
        (local.set $length (i32.sub (local.get $length) (i32.const 1)))
        (br $again)))
    (i32.xor (local.get $crc) (i32.const -1))))
