;; WASI preview 1 with piped standard streams and no directories, as wasmtime provides it, for programs that do not open
;; files (those get files.wat). Errors: 8 bad descriptor,
;; 27 interrupted, 48 out of memory, 54 not a directory, 70 not seekable.
;; Calls that wasmtime answers with an error instead of an errno (misaligned pointers, flags out of range) trap.
(module
  ;; include wasi_common.wat

  ;; Bit fd is set once descriptor fd (0, 1, 2) is closed.
  (global $closed (mut i32) (i32.const 0))

  (func $is_open (param $fd i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (i32.const 0))))
    (i32.eqz (i32.and (i32.shr_u (global.get $closed) (local.get $fd)) (i32.const 1))))

  (func $ready (param $type i32) (param $fd i32) (result i32)
    (if (i32.ne (i32.eqz (local.get $fd)) (i32.eq (local.get $type) (i32.const 1))) (then (return (i32.const 8))))
    (select (i32.const 0) (i32.const 8) (call $is_open (local.get $fd))))

  (func (export "fd_write") (param $fd i32) (param $vectors i32) (param $count i32) (param $written i32) (result i32)
    (local $p i32) (local $n i32)
    (if (i32.ge_u (local.get $count) (i32.const 0x20000000)) (then (return (i32.const 48))))
    (call $first_buffer (local.get $vectors) (local.get $count))
    (local.set $n)
    (local.set $p)
    (if (i32.eqz (local.get $fd)) (then (return (i32.const 8))))
    (if (i32.eqz (call $is_open (local.get $fd))) (then (return (i32.const 8))))
    (if (local.get $n)
      (then
        (call $check_range (local.get $p) (local.get $n))
        (if (i32.eq (local.get $fd) (i32.const 1))
          (then (call $write_stdout (local.get $p) (local.get $n)))
          (else (call $write_stderr (local.get $p) (local.get $n))))))
    (call $check_aligned (local.get $written) (i32.const 3))
    (i32.store (local.get $written) (local.get $n))
    (i32.const 0))

  ;; A read ends at a multiple of 64 KiB of the input at the latest; reading nothing where there is something to read
  ;; is "interrupted".
  (func (export "fd_read") (param $fd i32) (param $vectors i32) (param $count i32) (param $read i32) (result i32)
    (local $p i32) (local $n i32) (local $rest i32)
    (if (i32.ge_u (local.get $count) (i32.const 0x20000000)) (then (return (i32.const 48))))
    (call $first_buffer (local.get $vectors) (local.get $count))
    (local.set $n)
    (local.set $p)
    (if (local.get $fd) (then (return (i32.const 8))))
    (if (i32.eqz (call $is_open (local.get $fd))) (then (return (i32.const 8))))
    (local.set $rest (i32.sub (global.get $stdin_length) (global.get $stdin_position)))
    (if (local.get $rest)
      (then
        (if (i32.eqz (local.get $n)) (then (return (i32.const 27))))
        (if (i32.gt_u (local.get $n) (local.get $rest)) (then (local.set $n (local.get $rest))))
        (local.set $rest
          (i32.sub (i32.const 0x10000) (i32.and (global.get $stdin_position) (i32.const 0xffff))))
        (if (i32.gt_u (local.get $n) (local.get $rest)) (then (local.set $n (local.get $rest))))
        (local.set $rest (i32.add (global.get $stdin_position) (global.get $stdin)))
        (global.set $stdin_position (i32.add (global.get $stdin_position) (local.get $n)))
        (call $check_range (local.get $p) (local.get $n))
        (call $copy_hidden (local.get $p) (local.get $rest) (local.get $n)))
      (else (local.set $n (i32.const 0))))
    (call $check_aligned (local.get $read) (i32.const 3))
    (i32.store (local.get $read) (local.get $n))
    (i32.const 0))

  (func (export "fd_close") (param $fd i32) (result i32)
    (if (i32.eqz (call $is_open (local.get $fd))) (then (return (i32.const 8))))
    (global.set $closed (i32.or (global.get $closed) (i32.shl (i32.const 1) (local.get $fd))))
    (i32.const 0))

  ;; The errno where an open stream answers `$open`.
  (func $open_or_bad (param $fd i32) (param $open i32) (result i32)
    (select (local.get $open) (i32.const 8) (call $is_open (local.get $fd))))

  (func (export "fd_seek") (param $fd i32) (param i64) (param $whence i32) (param i32) (result i32)
    (if (i32.gt_u (local.get $whence) (i32.const 2)) (then (call $trap_host_error)))
    (call $open_or_bad (local.get $fd) (i32.const 70)))
  (func (export "fd_tell") (param $fd i32) (param i32) (result i32)
    (call $open_or_bad (local.get $fd) (i32.const 70)))

  ;; Reading and writing at an offset: of the streams in the right direction, too, "not seekable".
  (func (export "fd_pread")
    (param $fd i32) (param $vectors i32) (param $count i32) (param i64) (param i32) (result i32)
    (call $first_buffer (local.get $vectors) (local.get $count))
    (drop)
    (drop)
    (if (local.get $fd) (then (return (i32.const 8))))
    (call $open_or_bad (local.get $fd) (i32.const 70)))
  (func (export "fd_pwrite")
    (param $fd i32) (param $vectors i32) (param $count i32) (param i64) (param i32) (result i32)
    (call $first_buffer (local.get $vectors) (local.get $count))
    (drop)
    (drop)
    (if (i32.eqz (local.get $fd)) (then (return (i32.const 8))))
    (call $open_or_bad (local.get $fd) (i32.const 70)))

  ;; File type 0 (unknown), no flags; the only right is to read (2) or to write (64).
  (func (export "fd_fdstat_get") (param $fd i32) (param $stat i32) (result i32)
    (local $rights i64)
    (if (i32.eqz (call $is_open (local.get $fd))) (then (return (i32.const 8))))
    (local.set $rights (select (i64.const 64) (i64.const 2) (local.get $fd)))
    (call $put_rights (local.get $stat) (i32.const 0) (i32.const 0) (local.get $rights) (local.get $rights))
    (i32.const 0))

  (func (export "fd_filestat_get") (param $fd i32) (param $stat i32) (result i32)
    (if (i32.eqz (call $is_open (local.get $fd))) (then (return (i32.const 8))))
    (call $stat (local.get $stat) (i32.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)
      (i64.const 0))
    (i32.const 0))

  (func (export "fd_fdstat_set_flags") (param i32) (param $flags i32) (result i32)
    (if (i32.gt_u (local.get $flags) (i32.const 31)) (then (call $trap_host_error)))
    (i32.const 8))

  ;; There are no directories, and no stream is a file: every other call finds a bad descriptor.
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param $fd i32) (param i32 i32) (result i32)
    (call $open_or_bad (local.get $fd) (i32.const 54)))
  (func (export "fd_sync") (param i32) (result i32) (i32.const 8))
  (func (export "fd_datasync") (param i32) (result i32) (i32.const 8))
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "path_open") (param i32 i32) (param $path i32) (param $length i32) (param i32 i64 i64 i32 i32)
    (result i32)
    (call $check_range (local.get $path) (local.get $length))
    (i32.const 8))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8)))
