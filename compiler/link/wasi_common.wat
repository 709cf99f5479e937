;; What both shapes of WASI preview 1 have, see wasi.wat and files.wat, which include it: streams, arguments, environment,
;; random bytes, clocks, waiting, sockets (there are none). They have to define
;;   $is_open (fd) -> whether the descriptor is open
;;   $ready (type, fd) -> the errno of waiting until the descriptor can be read (1) or written (2); 0: it can
  (import "w2x" "memory" (memory 0))
  (import "w2x" "memory_bytes" (global $memory_bytes (mut i32)))
  (import "w2x" "stdout" (func $stdout (param i32)))
  (import "w2x" "stderr" (func $stderr (param i32)))
  (import "w2x" "exit" (func $exit (param i32)))
  (import "w2x" "hidden_load8" (func $hidden_load8 (param i32) (result i32)))
  (import "w2x" "hidden_load32" (func $hidden_load32 (param i32) (result i32)))
  (import "w2x" "hidden_store32" (func $hidden_store32 (param i32 i32)))
  (import "w2x" "trap_memory_out_of_bounds" (func $trap_memory_out_of_bounds))
  (import "w2x" "trap_host_error" (func $trap_host_error))
  (import "w2x" "stdin_length" (global $stdin_length (mut i32)))
  (import "w2x" "stdin_position" (global $stdin_position (mut i32)))
  (import "w2x" "args_count" (global $args_count (mut i32)))
  (import "w2x" "args_bytes" (global $args_bytes (mut i32)))
  (import "w2x" "environ_count" (global $environ_count (mut i32)))
  (import "w2x" "environ_bytes" (global $environ_bytes (mut i32)))
  (import "w2x" "random_position" (global $random_position (mut i32)))
  (import "w2x" "clock_seconds" (global $clock_seconds (mut i32)))
  (import "w2x" "clock_nanoseconds" (global $clock_nanoseconds (mut i32)))
  (import "w2x.memory" "copy_hidden" (func $copy_hidden (param i32 i32 i32)))
  (import "w2x.memory" "beyond" (func $beyond (param i32 i32)))
  ;; areas of hidden memory
  (import "w2x.layout" "stdin" (global $stdin i32))
  (import "w2x.layout" "args" (global $args i32))
  (import "w2x.layout" "environ" (global $environ i32))
  (import "w2x.layout" "random" (global $random i32))

  ;; Before an access of mask + 1 bytes: out of bounds comes before not aligned, and the access itself sees the rest of it.
  (func $check_aligned (param $pointer i32) (param $mask i32)
    (if (i32.and (local.get $pointer) (local.get $mask))
      (then
        (call $check_range (local.get $pointer) (i32.add (local.get $mask) (i32.const 1)))
        (call $trap_host_error))))

  (func $check_range (param $pointer i32) (param $n i32)
    (if (i32.gt_u (local.get $n) (global.get $memory_bytes)) (then (call $beyond (local.get $pointer) (local.get $n))))
    (if (i32.gt_u (local.get $pointer) (i32.sub (global.get $memory_bytes) (local.get $n)))
      (then (call $beyond (local.get $pointer) (local.get $n)))))

  ;; The pointer, where n bytes are accessed.
  (func $at (param $p i32) (param $n i32) (result i32)
    (call $check_aligned (local.get $p) (i32.sub (local.get $n) (i32.const 1)))
    (local.get $p))
  (func $store64 (param $p i32) (param $x i64)
    (i64.store (call $at (local.get $p) (i32.const 8)) (local.get $x)))
  ;; What fd_fdstat_get and fd_filestat_get tell, field by field: the first that has no room or is not aligned ends it.
  (func $put_rights (param $stat i32) (param $type i32) (param $flags i32) (param $rights i64) (param $below i64)
    (i32.store8 (local.get $stat) (local.get $type))
    (if (i32.ge_u (local.get $stat) (i32.const -16))
      (then (call $cut_off (local.get $stat) (local.get $flags) (local.get $rights))))
    (i32.store16 (call $at (i32.add (local.get $stat) (i32.const 2)) (i32.const 2)) (local.get $flags))
    (i64.store (call $at (i32.add (local.get $stat) (i32.const 8)) (i32.const 8)) (local.get $rights))
    (i64.store (call $at (i32.add (local.get $stat) (i32.const 16)) (i32.const 8)) (local.get $below)))
  ;; What of it is behind 4 GiB is nowhere, not at address 0.
  (func $cut_off (param $stat i32) (param $flags i32) (param $rights i64)
    (if (i32.lt_u (local.get $stat) (i32.const -2))
      (then (i32.store16 (call $at (i32.add (local.get $stat) (i32.const 2)) (i32.const 2)) (local.get $flags))))
    (if (i32.lt_u (local.get $stat) (i32.const -8))
      (then (i64.store (call $at (i32.add (local.get $stat) (i32.const 8)) (i32.const 8)) (local.get $rights))))
    (call $trap_memory_out_of_bounds))
  (func $stat
    (param $to i32) (param $type i32) (param $device i64) (param $number i64) (param $links i64) (param $size i64)
    (param $read i64) (param $written i64)
    (call $store64 (local.get $to) (local.get $device))
    (i64.store offset=8 (local.get $to) (local.get $number))
    (i32.store8 offset=16 (local.get $to) (local.get $type))
    (i64.store offset=24 (local.get $to) (local.get $links))
    (i64.store offset=32 (local.get $to) (local.get $size))
    (i64.store offset=40 (local.get $to) (local.get $read))
    (i64.store offset=48 (local.get $to) (local.get $written))
    (i64.store offset=56 (local.get $to) (local.get $written)))

  ;; Reads and writes use only the first buffer that is not empty: its address and length. Their list does not go on behind
  ;; 4 GiB at address 0: a load there is out of bounds.
  (func $first_buffer (param $vectors i32) (param $count i32) (result i32 i32)
    (local $n i32)
    (block $none
      (br_if $none (i32.eqz (local.get $count)))
      (call $check_aligned (local.get $vectors) (i32.const 3))
      (local.set $n (i32.load offset=4 (local.get $vectors)))
      (if (local.get $n) (then (return (i32.load (local.get $vectors)) (local.get $n))))
      (loop $next
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br_if $none (i32.eqz (local.get $count)))
        (local.set $n (i32.load offset=12 (local.get $vectors)))
        (local.set $vectors (i32.add (local.get $vectors) (i32.const 8)))
        (if (local.get $n) (then (return (i32.load (local.get $vectors)) (local.get $n))))
        (br $next)))
    (i32.const 0) (i32.const 0))

  (func $write_stdout (param $p i32) (param $n i32)
    (block $rest
      (loop $blocks
        (br_if $rest (i32.lt_u (local.get $n) (i32.const 8)))
        (call $stdout (i32.load8_u (local.get $p)))
        (call $stdout (i32.load8_u offset=1 (local.get $p)))
        (call $stdout (i32.load8_u offset=2 (local.get $p)))
        (call $stdout (i32.load8_u offset=3 (local.get $p)))
        (call $stdout (i32.load8_u offset=4 (local.get $p)))
        (call $stdout (i32.load8_u offset=5 (local.get $p)))
        (call $stdout (i32.load8_u offset=6 (local.get $p)))
        (call $stdout (i32.load8_u offset=7 (local.get $p)))
        (local.set $p (i32.add (local.get $p) (i32.const 8)))
        (local.set $n (i32.sub (local.get $n) (i32.const 8)))
        (br $blocks)))
    (if (i32.eqz (local.get $n)) (then (return)))
    (call $stdout (i32.load8_u (local.get $p)))
    (if (i32.eq (local.get $n) (i32.const 1)) (then (return)))
    (call $stdout (i32.load8_u offset=1 (local.get $p)))
    (if (i32.eq (local.get $n) (i32.const 2)) (then (return)))
    (call $stdout (i32.load8_u offset=2 (local.get $p)))
    (if (i32.eq (local.get $n) (i32.const 3)) (then (return)))
    (call $stdout (i32.load8_u offset=3 (local.get $p)))
    (if (i32.eq (local.get $n) (i32.const 4)) (then (return)))
    (call $stdout (i32.load8_u offset=4 (local.get $p)))
    (if (i32.eq (local.get $n) (i32.const 5)) (then (return)))
    (call $stdout (i32.load8_u offset=5 (local.get $p)))
    (if (i32.eq (local.get $n) (i32.const 6)) (then (return)))
    (call $stdout (i32.load8_u offset=6 (local.get $p))))

  (func $write_stderr (param $p i32) (param $n i32)
    (local.set $n (i32.add (local.get $p) (local.get $n)))
    (loop $bytes
      (call $stderr (i32.load8_u (local.get $p)))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (br_if $bytes (i32.ne (local.get $p) (local.get $n)))))

  (func $sizes (param $count_pointer i32) (param $bytes_pointer i32) (param $count i32) (param $bytes i32) (result i32)
    (call $check_aligned (local.get $bytes_pointer) (i32.const 3)) ;; this one first
    (i32.store (local.get $bytes_pointer) (local.get $bytes))
    (call $check_aligned (local.get $count_pointer) (i32.const 3))
    (i32.store (local.get $count_pointer) (local.get $count))
    (i32.const 0))

  ;; Copies `count` strings with their final zeros, `bytes` in all, to `to`, and their addresses to the array at `pointers`. Each
  ;; address is written before its string. Neither may end at 4 GiB.
  (func $strings (param $pointers i32) (param $to i32) (param $from i32) (param $count i32) (param $bytes i32)
    (param $separator i32) (result i32)
    (local $byte i32)
    (local.set $bytes (i32.add (local.get $to) (local.get $bytes)))
    (if (i32.or
          (i32.lt_u (local.get $bytes) (local.get $to))
          (i32.and
            (i32.gt_u (local.get $bytes) (global.get $memory_bytes))
            (i32.ne (global.get $memory_bytes) (i32.const 1)))) ;; 4 GiB
      (then
        (call $cut_strings
          (local.get $pointers) (local.get $to) (local.get $from) (local.get $count) (local.get $separator))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (call $check_aligned (local.get $pointers) (i32.const 3))
        (i32.store (local.get $pointers) (local.get $to))
        (local.set $pointers (i32.add (local.get $pointers) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (loop $bytes
          (local.set $byte (call $hidden_load8 (local.get $from)))
          (i32.store8 (local.get $to) (local.get $byte))
          (local.set $to (i32.add (local.get $to) (i32.const 1)))
          (local.set $from (i32.add (local.get $from) (i32.const 1)))
          (br_if $bytes (local.get $byte)))
        (br_if $next (local.get $pointers)))
      (call $trap_memory_out_of_bounds))
    (i32.const 0))
  ;; The same where they do not all have room: a string is there as a whole or not at all, and then its zero. One with a
  ;; separator (61: the first = of a variable) is two such strings, the first with the separator behind it.
  (func $cut_strings (param $pointers i32) (param $to i32) (param $from i32) (param $count i32) (param $separator i32)
    (local $n i32) (local $byte i32) (local $other i32)
    (loop $next
      (if (i32.eqz (local.get $count)) (then (return)))
      (i32.store (call $at (local.get $pointers) (i32.const 4)) (local.get $to))
      (local.set $pointers (i32.add (local.get $pointers) (i32.const 4)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (local.set $other (local.get $separator))
      (loop $part
        (local.set $n (i32.const 0))
        (loop $length
          (local.set $byte (call $hidden_load8 (i32.add (local.get $from) (local.get $n))))
          (if (i32.and (i32.ne (local.get $byte) (i32.const 0)) (i32.ne (local.get $byte) (local.get $other)))
            (then (local.set $n (i32.add (local.get $n) (i32.const 1))) (br $length))))
        (if (local.get $n)
          (then
            (call $check_range (local.get $to) (local.get $n))
            (call $copy_hidden (local.get $to) (local.get $from) (local.get $n))
            (local.set $to (i32.add (local.get $to) (local.get $n)))
            (if (i32.eqz (local.get $to)) (then (call $trap_memory_out_of_bounds)))))
        (i32.store8 (local.get $to) (local.get $byte))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (local.set $from (i32.add (i32.add (local.get $from) (local.get $n)) (i32.const 1)))
        (if (i32.eqz (local.get $to)) (then (call $trap_memory_out_of_bounds)))
        (local.set $other (i32.const 0))
        (br_if $part (local.get $byte)))
      (br_if $next (local.get $pointers)))
    (call $trap_memory_out_of_bounds))

  (func (export "args_sizes_get") (param i32 i32) (result i32)
    (call $sizes (local.get 0) (local.get 1) (global.get $args_count) (global.get $args_bytes)))
  (func (export "args_get") (param i32 i32) (result i32)
    (call $strings (local.get 0) (local.get 1) (global.get $args) (global.get $args_count) (global.get $args_bytes)
      (i32.const 0)))
  (func (export "environ_sizes_get") (param i32 i32) (result i32)
    (call $sizes (local.get 0) (local.get 1) (global.get $environ_count) (global.get $environ_bytes)))
  (func (export "environ_get") (param i32 i32) (result i32)
    (call $strings (local.get 0) (local.get 1) (global.get $environ) (global.get $environ_count) (global.get $environ_bytes)
      (i32.const 61)))

  (func (export "proc_exit") (param $status i32)
    (if (i32.ge_u (local.get $status) (i32.const 126)) (then (call $trap_host_error)))
    (call $exit (local.get $status)))

  ;; An invocation has 256 random bytes, which the host puts into the prompt. Once they are used up they become others:
  ;; each word x, first increased by 2^64 / golden ratio, becomes xorshift64(x).
  (func (export "random_get") (param $p i32) (param $n i32) (result i32)
    (local $part i32)
    (if (i32.eqz (local.get $n)) (then (return (i32.const 0)))) ;; wherever the pointer points
    (call $check_range (local.get $p) (local.get $n))
    (loop $parts
      (local.set $part (i32.sub (i32.const 256) (global.get $random_position)))
      (if (i32.gt_u (local.get $part) (local.get $n)) (then (local.set $part (local.get $n))))
      (call $copy_hidden
        (local.get $p) (i32.add (global.get $random) (global.get $random_position)) (local.get $part))
      (global.set $random_position (i32.add (global.get $random_position) (local.get $part)))
      (local.set $p (i32.add (local.get $p) (local.get $part)))
      (local.set $n (i32.sub (local.get $n) (local.get $part)))
      (if (i32.eq (global.get $random_position) (i32.const 256)) (then (call $renew_random)))
      (br_if $parts (local.get $n)))
    (i32.const 0))

  (func $renew_random
    (local $x i64) (local $at i32)
    (global.set $random_position (i32.const 0))
    (loop $words
      (local.set $x (i64.or
        (i64.extend_i32_u (call $hidden_load32 (i32.add (global.get $random) (local.get $at))))
        (i64.shl
          (i64.extend_i32_u (call $hidden_load32 (i32.add (i32.add (global.get $random) (i32.const 4)) (local.get $at))))
          (i64.const 32))))
      (local.set $x (i64.add (local.get $x) (i64.const 0x9e3779b97f4a7c15)))
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
      (call $hidden_store32 (i32.add (global.get $random) (local.get $at)) (i32.wrap_i64 (local.get $x)))
      (call $hidden_store32
        (i32.add (i32.add (global.get $random) (i32.const 4)) (local.get $at))
        (i32.wrap_i64 (i64.shr_u (local.get $x) (i64.const 32))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $words (i32.lt_u (local.get $at) (i32.const 256)))))

  ;; There is a realtime and a monotonic clock; both stand at the time at which the invocation began. They go on by one
  ;; millisecond whenever they are asked, so that a loop that waits for them ends, and while the program waits (poll_oneoff).
  (func $no_clock (param $id i32) (result i32)
    (if (i32.gt_u (local.get $id) (i32.const 3)) (then (call $trap_host_error)))
    (i32.gt_u (local.get $id) (i32.const 1)))
  (func (export "clock_time_get") (param $id i32) (param i64) (param $time i32) (result i32)
    (if (call $no_clock (local.get $id)) (then (return (i32.const 8))))
    (call $check_aligned (local.get $time) (i32.const 7))
    (i64.store (local.get $time) (call $time))
    (call $pass (i64.const 1000000))
    (i32.const 0))
  (func (export "clock_res_get") (param $id i32) (param $resolution i32) (result i32)
    (if (call $no_clock (local.get $id)) (then (return (i32.const 8))))
    (call $check_aligned (local.get $resolution) (i32.const 7))
    (i64.store (local.get $resolution) (i64.const 1))
    (i32.const 0))

  ;; A subscription has 48 bytes: user data, type at 8 (0 clock, 1 reading, 2 writing), then of a clock its id at 16, the
  ;; time at 24, flags at 40 (1: it is a point in time), of a stream its descriptor at 16. An event has 32: user data, error
  ;; at 8, type at 10, bytes at 16, flags at 24. Streams are ready at once. Where there are none, those clocks are ready
  ;; that have least to wait, and that much time passes.
  (func $time (result i64)
    (i64.add
      (i64.mul (i64.extend_i32_u (global.get $clock_seconds)) (i64.const 1000000000))
      (i64.extend_i32_u (global.get $clock_nanoseconds))))

  ;; How long to wait for a subscription (0 a stream, n + 1 for n nanoseconds), and an errno.
  (func $wait (param $p i32) (result i64 i32)
    (local $type i32) (local $fd i32) (local $time i64)
    (local.set $type (i32.load8_u offset=8 (local.get $p)))
    (if (i32.gt_u (local.get $type) (i32.const 2)) (then (return (i64.const 0) (i32.const 28))))
    (local.set $fd (i32.load offset=16 (local.get $p)))
    (if (local.get $type) (then (return (i64.const 0) (call $ready (local.get $type) (local.get $fd)))))
    (if (i32.gt_u (local.get $fd) (i32.const 3)) (then (return (i64.const 0) (i32.const 28)))) ;; before the rest is read
    (local.set $time (i64.load offset=24 (local.get $p)))
    (local.set $type (i32.load16_u offset=40 (local.get $p)))
    (if (i32.or (i32.gt_u (local.get $fd) (i32.const 1)) (i32.gt_u (local.get $type) (i32.const 1)))
      (then (return (i64.const 0) (i32.const 28))))
    (if (local.get $type)
      (then
        (local.set $time (select
          (i64.sub (local.get $time) (call $time))
          (i64.const 0)
          (i64.gt_u (local.get $time) (call $time))))))
    (i64.add (local.get $time) (i64.extend_i32_u (i64.ne (local.get $time) (i64.const -1))))
    (i32.const 0))

  ;; n nanoseconds pass. The clock stops at its end.
  (func $pass (param $n i64)
    (local $now i64)
    (local.set $now (call $time))
    (local.set $now (select
      (i64.add (local.get $now) (local.get $n))
      (i64.const 4294967295999999999)
      (i64.le_u (local.get $n) (i64.sub (i64.const 4294967295999999999) (local.get $now)))))
    (global.set $clock_seconds (i32.wrap_i64 (i64.div_u (local.get $now) (i64.const 1000000000))))
    (global.set $clock_nanoseconds (i32.wrap_i64 (i64.rem_u (local.get $now) (i64.const 1000000000)))))

  (func (export "poll_oneoff") (param $in i32) (param $out i32) (param $count i32) (param $events i32) (result i32)
    (local $p i32) (local $end i32) (local $n i32) (local $error i32) (local $least i64) (local $wait i64)
    (if (i32.eqz (local.get $count)) (then (return (i32.const 28))))
    (if (i32.ge_u (local.get $count) (i32.const 89478486)) (then (return (i32.const 48))))
    (if (i32.and
          (i32.gt_u (local.get $out) (local.get $in))
          (i32.lt_u (i32.sub (local.get $out) (local.get $in)) (i32.mul (local.get $count) (i32.const 48))))
      (then (return (i32.const 58)))) ;; events over subscriptions that are still to be read: not supported
    (call $check_aligned (local.get $in) (i32.const 7))
    (local.set $least (i64.const -1))
    (local.set $p (local.get $in))
    (local.set $end (i32.add (local.get $in) (i32.mul (local.get $count) (i32.const 48))))
    (loop $subscriptions
      (call $wait (local.get $p))
      (local.set $error)
      (local.set $wait)
      (if (local.get $error) (then (return (local.get $error))))
      (local.set $least (select (local.get $wait) (local.get $least) (i64.lt_u (local.get $wait) (local.get $least))))
      (local.set $p (i32.add (local.get $p) (i32.const 48)))
      (if (i32.ne (local.get $p) (local.get $end))
        (then
          (br_if $subscriptions (i32.ge_u (local.get $p) (i32.const 48)))
          (call $trap_memory_out_of_bounds)))) ;; behind 4 GiB
    (local.set $p (local.get $in))
    (loop $ready
      (call $wait (local.get $p))
      (drop)
      (if (i64.eq (local.get $least))
        (then
          (call $check_aligned (local.get $out) (i32.const 7))
          (if (i32.lt_u (local.get $out) (i32.shl (local.get $n) (i32.const 5)))
            (then (call $trap_memory_out_of_bounds))) ;; behind 4 GiB
          (local.set $error (i32.load8_u offset=8 (local.get $p)))
          (i64.store (local.get $out) (i64.load (local.get $p)))
          (i32.store16 offset=8 (local.get $out) (i32.const 0))
          (i32.store8 offset=10 (local.get $out) (local.get $error))
          (i64.store offset=16 (local.get $out) (i64.extend_i32_u (i32.ne (local.get $error) (i32.const 0))))
          (i32.store16 offset=24 (local.get $out) (i32.const 0))
          (local.set $out (i32.add (local.get $out) (i32.const 32)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))))
      (local.set $p (i32.add (local.get $p) (i32.const 48)))
      (br_if $ready (i32.ne (local.get $p) (local.get $end))))
    (if (i64.ne (local.get $least) (i64.const 0)) (then (call $pass (i64.sub (local.get $least) (i64.const 1)))))
    (call $check_aligned (local.get $events) (i32.const 3))
    (i32.store (local.get $events) (local.get $n))
    (i32.const 0))

  (func (export "sched_yield") (result i32) (i32.const 0))
  (func (export "proc_raise") (param $signal i32) (result i32)
    (if (i32.gt_u (local.get $signal) (i32.const 30)) (then (call $trap_host_error)))
    (i32.const 58))

  ;; No descriptor is a socket.
  (func (export "sock_accept") (param $fd i32) (param $flags i32) (param i32) (result i32)
    (if (i32.gt_u (local.get $flags) (i32.const 31)) (then (call $trap_host_error)))
    (call $no_socket (local.get $fd)))
  (func (export "sock_recv") (param $fd i32) (param i32 i32) (param $flags i32) (param i32 i32) (result i32)
    (if (i32.gt_u (local.get $flags) (i32.const 3)) (then (call $trap_host_error)))
    (call $no_socket (local.get $fd)))
  (func (export "sock_send") (param $fd i32) (param i32 i32) (param $flags i32) (param i32) (result i32)
    (if (i32.gt_u (local.get $flags) (i32.const 0xffff)) (then (call $trap_host_error)))
    (call $no_socket (local.get $fd)))
  (func (export "sock_shutdown") (param $fd i32) (param $how i32) (result i32)
    (if (i32.gt_u (local.get $how) (i32.const 3)) (then (call $trap_host_error)))
    (call $no_socket (local.get $fd)))
  (func $no_socket (param $fd i32) (result i32)
    (select (i32.const 57) (i32.const 8) (call $is_open (local.get $fd))))
