  ;; The upper half of an i64 result, where JavaScript is given two i32. Global 2: invoke_* knows it.
  (global $upper (mut i32) (i32.const 0))

  (func $copy (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (export "emscripten_memcpy_js" (func $copy))
  (export "_emscripten_memcpy_js" (func $copy))
  (export "emscripten_memcpy_big.2" (func $copy))
  (func (export "emscripten_memcpy_big") (param i32 i32 i32) (result i32)
    (memory.copy (local.get 0) (local.get 1) (local.get 2))
    (local.get 0))

  ;; Grows the memory to so many bytes, no further; 0 where that is not possible.
  (func (export "emscripten_resize_heap") (param $bytes i32) (result i32)
    (local $pages i32)
    (local.set $pages (i32.add
      (i32.shr_u (local.get $bytes) (i32.const 16))
      (i32.ne (i32.and (local.get $bytes) (i32.const 0xffff)) (i32.const 0))))
    (if (i32.le_u (local.get $pages) (memory.size)) (then (return (i32.const 1))))
    (i32.ne (memory.grow (i32.sub (local.get $pages) (memory.size))) (i32.const -1)))
  (func (export "emscripten_notify_memory_growth") (param i32))

  ;; Milliseconds. As for WASI, one of them passes whenever the program asks.
  (func $pass
    (global.set $clock_nanoseconds (i32.add (global.get $clock_nanoseconds) (i32.const 1000000)))
    (if (i32.ge_u (global.get $clock_nanoseconds) (i32.const 1000000000))
      (then
        (global.set $clock_nanoseconds (i32.sub (global.get $clock_nanoseconds) (i32.const 1000000000)))
        (global.set $clock_seconds (i32.add (global.get $clock_seconds) (i32.const 1))))))
  (func $date (export "emscripten_date_now") (result f64)
    (f64.convert_i64_u (i64.add
      (i64.mul (i64.extend_i32_u (global.get $clock_seconds)) (i64.const 1000))
      (i64.extend_i32_u (i32.div_u (global.get $clock_nanoseconds) (i32.const 1000000)))))
    (call $pass))
  (func (export "emscripten_get_now") (result f64)
    (f64.div
      (f64.convert_i64_u (i64.add
        (i64.mul (i64.extend_i32_u (global.get $clock_seconds)) (i64.const 1000000000))
        (i64.extend_i32_u (global.get $clock_nanoseconds))))
      (f64.const 1000000))
    (call $pass))

  (func (export "setTempRet0") (param i32) (global.set $upper (local.get 0)))
  (func (export "getTempRet0") (result i32) (global.get $upper))

  ;; The file system of Emscripten's JavaScript, when it is empty: standard streams are no terminals (-59), nothing else is
  ;; there (-44), and the working directory is "/". Errors are WASI's errnos below zero.
  (func (export "__syscall_ioctl") (param i32 i32 i32) (result i32) (i32.const -59))
  (func (export "__syscall_fcntl64") (param i32 i32 i32) (result i32) (i32.const 0))
  (func $one (param i32) (result i32) (i32.const -44))
  (func $two (param i32 i32) (result i32) (i32.const -44))
  (func $three (param i32 i32 i32) (result i32) (i32.const -44))
  (func $four (param i32 i32 i32 i32) (result i32) (i32.const -44))
  (export "__syscall_chdir" (func $one))
  (export "__syscall_rmdir" (func $one))
  (export "__syscall_stat64" (func $two))
  (export "__syscall_lstat64" (func $two))
  (export "__syscall_mkdirat" (func $three))
  (export "__syscall_unlinkat" (func $three))
  (export "__syscall_openat" (func $four))
  (export "__syscall_newfstatat" (func $four))
  (export "__syscall_renameat" (func $four))
  (export "__syscall_readlinkat" (func $four))
  (export "__syscall_faccessat" (func $four))
  (func (export "__syscall_getcwd") (param $p i32) (param $n i32) (result i32)
    (if (i32.lt_u (local.get $n) (i32.const 2)) (then (return (i32.const -68))))
    (i32.store16 (local.get $p) (i32.const 47))
    (i32.const 2))

  (func (export "abort") (unreachable))
  (func (export "abort.2") (param i32) (unreachable))
  (func (export "_abort_js") (unreachable))
  (func (export "__assert_fail") (param i32 i32 i32 i32) (unreachable))
