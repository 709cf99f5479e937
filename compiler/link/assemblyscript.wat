;; What AssemblyScript's modules import from "env": texts are UTF-16, their length in bytes stands before them.
;; console.log, info and debug write to standard output, warn, error, trace and abort to standard error. Numbers that are not
;; whole, or 2^53 and more, have six decimals at most, and up to 19 digits before.
(module
  (import "w2x" "memory" (memory 0))
  (import "w2x" "clock_seconds" (global $clock_seconds (mut i32)))
  (import "w2x" "clock_nanoseconds" (global $clock_nanoseconds (mut i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (export "memory" (memory 0))

  ;; One byte. WASI wants it in memory: the first 16 bytes are lent for it.
  (func $put (param $fd i32) (param $byte i32)
    (local $first i64) (local $second i64)
    (local.set $first (i64.load (i32.const 0)))
    (local.set $second (i64.load (i32.const 8)))
    (i32.store (i32.const 0) (i32.const 12))
    (i32.store (i32.const 4) (i32.const 1))
    (i32.store8 (i32.const 12) (local.get $byte))
    (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i64.store (i32.const 0) (local.get $first))
    (i64.store (i32.const 8) (local.get $second)))

  (func $character (param $fd i32) (param $c i32)
    (if (i32.lt_u (local.get $c) (i32.const 0x80)) (then (call $put (local.get $fd) (local.get $c)) (return)))
    (if (i32.lt_u (local.get $c) (i32.const 0x800))
      (then (call $put (local.get $fd) (i32.or (i32.const 0xc0) (i32.shr_u (local.get $c) (i32.const 6)))))
      (else
        (if (i32.lt_u (local.get $c) (i32.const 0x10000))
          (then (call $put (local.get $fd) (i32.or (i32.const 0xe0) (i32.shr_u (local.get $c) (i32.const 12)))))
          (else
            (call $put (local.get $fd) (i32.or (i32.const 0xf0) (i32.shr_u (local.get $c) (i32.const 18))))
            (call $rest (local.get $fd) (i32.shr_u (local.get $c) (i32.const 12)))))
        (call $rest (local.get $fd) (i32.shr_u (local.get $c) (i32.const 6)))))
    (call $rest (local.get $fd) (local.get $c)))
  (func $rest (param $fd i32) (param $c i32)
    (call $put (local.get $fd) (i32.or (i32.const 0x80) (i32.and (local.get $c) (i32.const 0x3f)))))

  ;; A half of a pair that stands alone is U+FFFD.
  (func $text (param $fd i32) (param $p i32)
    (local $end i32) (local $c i32) (local $low i32)
    (if (i32.eqz (local.get $p)) (then (return)))
    (local.set $end (i32.add (local.get $p)
      (i32.and (i32.load (i32.sub (local.get $p) (i32.const 4))) (i32.const -2))))
    (block $done
      (loop $units
        (br_if $done (i32.eq (local.get $p) (local.get $end)))
        (local.set $c (i32.load16_u (local.get $p)))
        (local.set $p (i32.add (local.get $p) (i32.const 2)))
        (if (i32.eq (i32.and (local.get $c) (i32.const 0xf800)) (i32.const 0xd800))
          (then
            (local.set $low (i32.const 0))
            (if (i32.ne (local.get $p) (local.get $end)) (then (local.set $low (i32.load16_u (local.get $p)))))
            (if (i32.and
                  (i32.lt_u (local.get $c) (i32.const 0xdc00))
                  (i32.eq (i32.and (local.get $low) (i32.const 0xfc00)) (i32.const 0xdc00)))
              (then
                (local.set $p (i32.add (local.get $p) (i32.const 2)))
                (local.set $c (i32.add
                  (i32.shl (local.get $c) (i32.const 10)) (i32.sub (local.get $low) (i32.const 0x35fdc00)))))
              (else (local.set $c (i32.const 0xfffd))))))
        (call $character (local.get $fd) (local.get $c))
        (br $units))))

  (func $digits (param $fd i32) (param $n i64)
    (if (i64.ge_u (local.get $n) (i64.const 10))
      (then (call $digits (local.get $fd) (i64.div_u (local.get $n) (i64.const 10)))))
    (call $put (local.get $fd) (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10))))))
  (func $number (param $fd i32) (param $x f64)
    (local $n i64) (local $unit i64)
    (if (f64.ne (local.get $x) (local.get $x))
      (then (call $put (local.get $fd) (i32.const 78)) (call $put (local.get $fd) (i32.const 97))
        (call $put (local.get $fd) (i32.const 78)) (return)))
    (if (f64.lt (local.get $x) (f64.const 0))
      (then (call $put (local.get $fd) (i32.const 45)) (local.set $x (f64.neg (local.get $x)))))
    (local.set $n (i64.trunc_sat_f64_u (local.get $x)))
    (call $digits (local.get $fd) (local.get $n))
    (local.set $n (i64.trunc_sat_f64_u
      (f64.nearest (f64.mul (f64.sub (local.get $x) (f64.convert_i64_u (local.get $n))) (f64.const 1000000)))))
    (if (i64.gt_u (local.get $n) (i64.const 999999)) (then (local.set $n (i64.const 999999))))
    (if (i64.eqz (local.get $n)) (then (return)))
    (call $put (local.get $fd) (i32.const 46))
    (local.set $unit (i64.const 100000))
    (loop $decimals
      (call $digits (local.get $fd) (i64.div_u (local.get $n) (local.get $unit)))
      (local.set $n (i64.rem_u (local.get $n) (local.get $unit)))
      (local.set $unit (i64.div_u (local.get $unit) (i64.const 10)))
      (br_if $decimals (i64.ne (local.get $n) (i64.const 0)))))

  (func $line (param $fd i32) (param $p i32)
    (call $text (local.get $fd) (local.get $p))
    (call $put (local.get $fd) (i32.const 10)))
  (func $log (export "console.log") (param i32) (call $line (i32.const 1) (local.get 0)))
  (export "console.info" (func $log))
  (export "console.debug" (func $log))
  (func $warn (export "console.warn") (param i32) (call $line (i32.const 2) (local.get 0)))
  (export "console.error" (func $warn))

  ;; "abort: MESSAGE in FILE:LINE:COLUMN"
  (func (export "abort") (param $message i32) (param $file i32) (param $line i32) (param $column i32)
    (call $word (i32.const 0x726f6261)) ;; "abor"
    (call $word (i32.const 0x203a74)) ;; "t: "
    (call $text (i32.const 2) (local.get $message))
    (call $word (i32.const 0x206e6920)) ;; " in "
    (call $text (i32.const 2) (local.get $file))
    (call $put (i32.const 2) (i32.const 58))
    (call $digits (i32.const 2) (i64.extend_i32_u (local.get $line)))
    (call $put (i32.const 2) (i32.const 58))
    (call $digits (i32.const 2) (i64.extend_i32_u (local.get $column)))
    (call $put (i32.const 2) (i32.const 10))
    (unreachable))
  ;; Up to four letters of ASCII, the first in the lowest byte.
  (func $word (param $letters i32)
    (loop $next
      (call $put (i32.const 2) (i32.and (local.get $letters) (i32.const 255)))
      (local.set $letters (i32.shr_u (local.get $letters) (i32.const 8)))
      (br_if $next (local.get $letters))))

  ;; "trace: MESSAGE NUMBER, NUMBER"
  (func (export "trace")
    (param $message i32) (param $count i32) (param $a f64) (param $b f64) (param $c f64) (param $d f64) (param $e f64)
    (call $word (i32.const 0x63617274)) ;; "trac"
    (call $word (i32.const 0x203a65)) ;; "e: "
    (call $text (i32.const 2) (local.get $message))
    (call $traced (local.get $count) (i32.const 1) (local.get $a))
    (call $traced (local.get $count) (i32.const 2) (local.get $b))
    (call $traced (local.get $count) (i32.const 3) (local.get $c))
    (call $traced (local.get $count) (i32.const 4) (local.get $d))
    (call $traced (local.get $count) (i32.const 5) (local.get $e))
    (call $put (i32.const 2) (i32.const 10)))
  (func $traced (param $count i32) (param $number i32) (param $x f64)
    (if (i32.lt_s (local.get $count) (local.get $number)) (then (return)))
    (if (i32.gt_u (local.get $number) (i32.const 1)) (then (call $put (i32.const 2) (i32.const 44))))
    (call $put (i32.const 2) (i32.const 32))
    (call $number (i32.const 2) (local.get $x)))

  ;; Milliseconds; as everywhere one of them passes whenever the program asks.
  (func $now (export "Date.now") (result f64)
    (f64.convert_i64_u (i64.add
      (i64.mul (i64.extend_i32_u (global.get $clock_seconds)) (i64.const 1000))
      (i64.extend_i32_u (i32.div_u (global.get $clock_nanoseconds) (i32.const 1000000)))))
    (global.set $clock_nanoseconds (i32.add (global.get $clock_nanoseconds) (i32.const 1000000)))
    (if (i32.ge_u (global.get $clock_nanoseconds) (i32.const 1000000000))
      (then
        (global.set $clock_nanoseconds (i32.sub (global.get $clock_nanoseconds) (i32.const 1000000000)))
        (global.set $clock_seconds (i32.add (global.get $clock_seconds) (i32.const 1))))))
  (export "performance.now" (func $now))
  ;; What Math.random begins with: the time, in nanoseconds.
  (func (export "seed") (result f64)
    (f64.convert_i64_u (i64.add
      (i64.mul (i64.extend_i32_u (global.get $clock_seconds)) (i64.const 1000000000))
      (i64.extend_i32_u (global.get $clock_nanoseconds))))))
