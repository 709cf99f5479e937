;; WASI preview 1 with files, as wasmtime provides it, for programs that open files. Descriptors, folders and files are in
;; the area "files" of hidden memory; the prompt of an instance's first invocation fills its beginning (runtime/folders.py)
;; with what is in the folders. Everything in it is found by address:
;;   head   0 first free byte, 4 first folder that the program is given, 8 the next file's number, 12 how often something
;;          was changed
;;   node   0 type (3 folder, 4 file), 4 the folder it is in (0: given to the program), 8 next in that folder, 12 first in
;;          this folder or contents, 16 size, 20 room, 24 name, 28 length of the name, 32 number, 36 state (1 it is in
;;          a folder, 2 its contents have changed), 40 and 48 times of access and of modification
;;   table  32 bytes for each descriptor, at the area's end: 0 kind (0 closed, 1 stdin, 2 stdout, 3 stderr, 4 folder,
;;          5 file), 4 node, 8 position, 16 mode (1 read, 2 write, 4 append, 8 non-blocking), 20 whether it was given
;; Errors: 8 bad descriptor, 10 busy, 20 exists, 22 too large, 25 no UTF-8, 27 interrupted, 28 invalid, 31 a folder, 33 too
;; many descriptors, 37 name too long, 44 not there, 48 out of memory, 51 no room, 54 no folder, 55 not empty, 58 not
;; supported, 63 not permitted (out of the folder), 70 not seekable.
;; There are no links. Writing leaves times as they are.
(module
  (import "w2x.layout" "files" (global $files i32))
  (import "w2x.layout" "files_end" (global $table i32))
  (import "w2x" "files_bytes" (global $files_bytes (mut i32)))
  (import "w2x" "hidden_store8" (func $hidden_store8 (param i32 i32)))
  ;; include wasi_common.wat

  (global $begun (mut i32) (i32.const 0))
  ;; Descriptors that were in use at any time are below this.
  (global $descriptors (mut i32) (i32.const 0))

  (func $get64 (param $p i32) (result i64)
    (i64.or
      (i64.extend_i32_u (call $hidden_load32 (local.get $p)))
      (i64.shl (i64.extend_i32_u (call $hidden_load32 (i32.add (local.get $p) (i32.const 4)))) (i64.const 32))))
  (func $put64 (param $p i32) (param $x i64)
    (call $hidden_store32 (local.get $p) (i32.wrap_i64 (local.get $x)))
    (call $hidden_store32
      (i32.add (local.get $p) (i32.const 4)) (i32.wrap_i64 (i64.shr_u (local.get $x) (i64.const 32)))))

  ;; Descriptors

  (func $begin
    (local $folder i32)
    (global.set $begun (i32.const 1))
    (call $hidden_store32 (global.get $table) (i32.const 1))
    (call $hidden_store32 (i32.add (global.get $table) (i32.const 32)) (i32.const 2))
    (call $hidden_store32 (i32.add (global.get $table) (i32.const 64)) (i32.const 3))
    (global.set $descriptors (i32.const 3))
    (if (i32.eqz (global.get $files_bytes)) (then (return)))
    (local.set $folder (call $hidden_load32 (i32.add (global.get $files) (i32.const 4))))
    (block $done
      (loop $folders
        (br_if $done (i32.eqz (local.get $folder)))
        (drop (call $assign (local.get $folder) (i32.const 0)))
        (call $hidden_store32 (i32.add (call $entry (i32.sub (global.get $descriptors) (i32.const 1))) (i32.const 20))
          (i32.const 1))
        (local.set $folder (call $hidden_load32 (i32.add (local.get $folder) (i32.const 8))))
        (br $folders))))

  (func $entry (param $fd i32) (result i32)
    (i32.add (global.get $table) (i32.shl (local.get $fd) (i32.const 5))))

  ;; The kind of an open descriptor, 0 for another one.
  (func $kind (param $fd i32) (result i32)
    (if (i32.eqz (global.get $begun)) (then (call $begin)))
    (if (i32.ge_u (local.get $fd) (global.get $descriptors)) (then (return (i32.const 0))))
    (call $hidden_load32 (call $entry (local.get $fd))))
  (func $is_open (param $fd i32) (result i32)
    (i32.ne (call $kind (local.get $fd)) (i32.const 0)))
  (func $node (param $fd i32) (result i32)
    (call $hidden_load32 (i32.add (call $entry (local.get $fd)) (i32.const 4))))
  (func $mode (param $fd i32) (result i32)
    (call $hidden_load32 (i32.add (call $entry (local.get $fd)) (i32.const 16))))

  ;; The errno where something else is asked for than a folder, a file, a file or a folder.
  (func $not_folder (param $fd i32) (result i32)
    (select (i32.const 0) (i32.const 8) (i32.eq (call $kind (local.get $fd)) (i32.const 4))))
  (func $not_file (param $fd i32) (result i32)
    (select (i32.const 0) (i32.const 8) (i32.eq (call $kind (local.get $fd)) (i32.const 5))))
  (func $neither (param $fd i32) (result i32)
    (select (i32.const 0) (i32.const 8) (i32.ge_u (call $kind (local.get $fd)) (i32.const 4))))
  (func $not_seekable (param $fd i32) (result i32)
    (local $kind i32)
    (local.set $kind (call $kind (local.get $fd)))
    (if (i32.eq (local.get $kind) (i32.const 5)) (then (return (i32.const 0))))
    (select (i32.const 70) (i32.const 8) (i32.lt_u (i32.sub (local.get $kind) (i32.const 1)) (i32.const 3))))

  (func $ready (param $type i32) (param $fd i32) (result i32)
    (local $kind i32)
    (local.set $kind (call $kind (local.get $fd)))
    (if (i32.eq (local.get $kind) (i32.const 5)) (then (return (i32.const 0))))
    (if (i32.eq (local.get $type) (i32.const 1))
      (then (return (select (i32.const 0) (i32.const 8) (i32.eq (local.get $kind) (i32.const 1))))))
    (select (i32.const 0) (i32.const 8) (i32.eq (i32.and (local.get $kind) (i32.const 6)) (i32.const 2))))

  ;; A descriptor for a node: of those closed the greatest, else a new one; -1 where there are no more (256).
  (func $assign (param $node i32) (param $mode i32) (result i32)
    (local $fd i32) (local $entry i32)
    (local.set $fd (global.get $descriptors))
    (block $found
      (loop $closed
        (if (i32.eqz (local.get $fd))
          (then
            (local.set $fd (global.get $descriptors))
            (if (i32.eq (local.get $fd) (i32.const 256)) (then (return (i32.const -1))))
            (global.set $descriptors (i32.add (local.get $fd) (i32.const 1)))
            (br $found)))
        (local.set $fd (i32.sub (local.get $fd) (i32.const 1)))
        (br_if $closed (call $hidden_load32 (call $entry (local.get $fd))))))
    (local.set $entry (call $entry (local.get $fd)))
    (call $hidden_store32 (local.get $entry)
      (i32.add (call $hidden_load32 (local.get $node)) (i32.const 1)))
    (call $hidden_store32 (i32.add (local.get $entry) (i32.const 4)) (local.get $node))
    (call $put64 (i32.add (local.get $entry) (i32.const 8)) (i64.const 0))
    (call $hidden_store32 (i32.add (local.get $entry) (i32.const 16)) (local.get $mode))
    (call $hidden_store32 (i32.add (local.get $entry) (i32.const 20)) (i32.const 0))
    (local.get $fd))

  (func (export "fd_close") (param $fd i32) (result i32)
    (if (i32.eqz (call $kind (local.get $fd))) (then (return (i32.const 8))))
    (call $hidden_store32 (call $entry (local.get $fd)) (i32.const 0))
    (i32.const 0))

  (func (export "fd_renumber") (param $from i32) (param $to i32) (result i32)
    (local $at i32)
    (if (i32.eqz (call $kind (local.get $to))) (then (return (i32.const 8))))
    (if (i32.eqz (call $kind (local.get $from))) (then (return (i32.const 8))))
    (if (i32.ne (local.get $from) (local.get $to))
      (then
        (local.set $at (i32.const 20))
        (loop $words
          (call $hidden_store32
            (i32.add (call $entry (local.get $to)) (local.get $at))
            (call $hidden_load32 (i32.add (call $entry (local.get $from)) (local.get $at))))
          (local.set $at (i32.sub (local.get $at) (i32.const 4)))
          (br_if $words (i32.ge_s (local.get $at) (i32.const 0))))
        (call $hidden_store32 (call $entry (local.get $from)) (i32.const 0))))
    (i32.const 0))

  (func (export "fd_prestat_get") (param $fd i32) (param $stat i32) (result i32)
    (if (call $not_folder (local.get $fd)) (then (return (i32.const 8))))
    (if (i32.eqz (call $hidden_load32 (i32.add (call $entry (local.get $fd)) (i32.const 20))))
      (then (return (i32.const 8))))
    (i32.store8 (local.get $stat) (i32.const 0))
    (if (i32.ge_u (local.get $stat) (i32.const -4)) (then (call $trap_memory_out_of_bounds))) ;; behind 4 GiB
    (i32.store (call $at (i32.add (local.get $stat) (i32.const 4)) (i32.const 4))
      (call $hidden_load32 (i32.add (call $node (local.get $fd)) (i32.const 28))))
    (i32.const 0))
  (func (export "fd_prestat_dir_name") (param $fd i32) (param $to i32) (param $room i32) (result i32)
    (local $node i32) (local $n i32)
    (if (i32.eqz (call $kind (local.get $fd))) (then (return (i32.const 8))))
    (if (call $not_folder (local.get $fd)) (then (return (i32.const 54))))
    (if (i32.eqz (call $hidden_load32 (i32.add (call $entry (local.get $fd)) (i32.const 20))))
      (then (return (i32.const 54))))
    (local.set $node (call $node (local.get $fd)))
    (local.set $n (call $hidden_load32 (i32.add (local.get $node) (i32.const 28))))
    (if (i32.gt_u (local.get $n) (local.get $room)) (then (return (i32.const 37))))
    (call $check_range (local.get $to) (local.get $n))
    (call $copy_hidden
      (local.get $to) (call $hidden_load32 (i32.add (local.get $node) (i32.const 24))) (local.get $n))
    (i32.const 0))

  ;; Rights follow from the mode, as wasmtime works them out.
  (func (export "fd_fdstat_get") (param $fd i32) (param $stat i32) (result i32)
    (local $kind i32) (local $mode i32) (local $type i32) (local $rights i64) (local $below i64) (local $flags i32)
    (local.set $kind (call $kind (local.get $fd)))
    (if (i32.eqz (local.get $kind)) (then (return (i32.const 8))))
    (local.set $mode (call $mode (local.get $fd)))
    (block $known
      (if (i32.lt_u (local.get $kind) (i32.const 4))
        (then
          (local.set $rights (select (i64.const 2) (i64.const 64) (i32.eq (local.get $kind) (i32.const 1))))
          (local.set $below (local.get $rights))
          (br $known)))
      (local.set $type (i32.sub (local.get $kind) (i32.const 1)))
      (if (i32.eq (local.get $kind) (i32.const 4))
        (then
          (local.set $rights (i64.const 0x3fb7ffbb))
          (local.set $below (local.get $rights))
          (if (call $hidden_load32 (i32.add (call $entry (local.get $fd)) (i32.const 20)))
            (then
              (local.set $rights (i64.const 0x07b7fe00))
              (local.set $below (i64.const 0x0ff7ffff))))
          (br $known)))
      (local.set $rights (i64.const 0x3fffffff))
      (if (i32.eqz (i32.and (local.get $mode) (i32.const 1)))
        (then (local.set $rights (i64.const 0x3fffbffd))))
      (if (i32.eqz (i32.and (local.get $mode) (i32.const 2)))
        (then (local.set $rights (i64.and (local.get $rights) (i64.const 0x3fffffbf)))))
      (local.set $below (local.get $rights))
      (local.set $flags (i32.or
        (i32.and (i32.shr_u (local.get $mode) (i32.const 2)) (i32.const 1))
        (i32.and (i32.shr_u (local.get $mode) (i32.const 1)) (i32.const 4)))))
    (call $put_rights (local.get $stat) (local.get $type) (local.get $flags) (local.get $rights) (local.get $below))
    (i32.const 0))
  (func (export "fd_fdstat_set_flags") (param $fd i32) (param $flags i32) (result i32)
    (local $mode i32)
    (if (i32.gt_u (local.get $flags) (i32.const 31)) (then (call $trap_host_error)))
    (if (call $not_file (local.get $fd)) (then (return (i32.const 8))))
    (if (i32.and (local.get $flags) (i32.const 26)) (then (return (i32.const 28))))
    (local.set $mode (i32.or
      (i32.and (call $mode (local.get $fd)) (i32.const 3))
      (call $flags_mode (local.get $flags))))
    (call $hidden_store32 (i32.add (call $entry (local.get $fd)) (i32.const 16)) (local.get $mode))
    (i32.const 0))
  (func $flags_mode (param $flags i32) (result i32)
    (i32.or
      (i32.shl (i32.and (local.get $flags) (i32.const 1)) (i32.const 2))
      (i32.shl (i32.and (local.get $flags) (i32.const 4)) (i32.const 1))))
  (func (export "fd_fdstat_set_rights") (param $fd i32) (param $rights i64) (param $below i64) (result i32)
    (call $check_rights (local.get $rights))
    (call $check_rights (local.get $below))
    (select (i32.const 8) (i32.const 58) (call $neither (local.get $fd))))
  (func $check_rights (param $rights i64)
    (if (i64.gt_u (local.get $rights) (i64.const 0x3fffffff)) (then (call $trap_host_error))))

  ;; Paths. A walk leaves what it found behind:
  (global $found (mut i32) (i32.const 0)) ;; the node, 0 where there is none
  (global $folder (mut i32) (i32.const 0)) ;; the folder in which it is, or would be
  (global $name (mut i32) (i32.const 0)) ;; the name there, in linear memory
  (global $name_length (mut i32) (i32.const 0)) ;; 0 where the path ends with "." or ".."
  (global $slash (mut i32) (i32.const 0)) ;; the path ends with a slash
  (global $last (mut i32) (i32.const 0)) ;; the errno is about the last name: 1 a zero in it, 2 it is too long

  ;; Follows a path from a folder, which it does not leave. An errno, 0 also where the last name is not there. A zero in a path is
  ;; told before all else (zeros 0), or, if it is in the last name alone, once that would be looked for. What the last name is
  ;; where slashes are behind it: what is behind them (1), or what is before them (2).
  (func $walk (param $fd i32) (param $p i32) (param $length i32) (param $zeros i32) (result i32)
    (local $end i32) (local $start i32) (local $at i32) (local $next i32) (local $n i32) (local $error i32)
    (local.set $start (call $node (local.get $fd)))
    (local.set $at (local.get $start))
    (local.set $end (i32.add (local.get $p) (local.get $length)))
    (global.set $last (i32.const 0))
    (local.set $error (call $check_text (local.get $p) (local.get $length)))
    (if (i32.eq (local.get $error) (i32.const 25)) (then (return (i32.const 25))))
    (if (local.get $error)
      (then
        (if (i32.eqz (local.get $zeros)) (then (return (i32.const 28))))
        (if (call $slash_behind (global.get $zero) (local.get $end) (local.get $zeros)) (then (return (i32.const 28))))))
    (if (i32.eqz (local.get $length)) (then (return (i32.const 44))))
    (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 47)) (then (return (i32.const 63))))
    (loop $names
      (local.set $n (i32.const 0))
      (local.set $next (local.get $p))
      (block $name_ends
        (loop $bytes
          (br_if $name_ends (i32.eq (local.get $next) (local.get $end)))
          (br_if $name_ends (i32.eq (i32.load8_u (local.get $next)) (i32.const 47)))
          (local.set $next (i32.add (local.get $next) (i32.const 1)))
          (br $bytes)))
      (local.set $n (i32.sub (local.get $next) (local.get $p)))
      (global.set $name (local.get $p))
      (local.set $p (local.get $next))
      (block $slashes_end
        (loop $slashes
          (br_if $slashes_end (i32.eq (local.get $p) (local.get $end)))
          (br_if $slashes_end (i32.ne (i32.load8_u (local.get $p)) (i32.const 47)))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (br $slashes)))
      (global.set $slash (i32.ne (local.get $p) (local.get $next)))
      (if (i32.ne (call $hidden_load32 (local.get $at)) (i32.const 3)) (then (return (i32.const 54))))
      (global.set $folder (local.get $at))
      (global.set $name_length (local.get $n))
      (if (local.get $error)
        (then
          (if (i32.lt_u (global.get $zero) (local.get $next))
            (then
              (global.set $last (i32.const 1))
              (return (i32.const 28))))))
      (block $stepped
        (if (i32.eq (i32.load8_u (global.get $name)) (i32.const 46))
          (then
            (if (i32.eq (local.get $n) (i32.const 1))
              (then
                (global.set $name_length (i32.const 0))
                (br $stepped)))
            (if (i32.eq (local.get $n) (i32.const 2))
              (then
                (if (i32.eq (i32.load8_u offset=1 (global.get $name)) (i32.const 46))
                  (then
                    (if (i32.eq (local.get $at) (local.get $start)) (then (return (i32.const 63))))
                    (global.set $name_length (i32.const 0))
                    (local.set $at (call $hidden_load32 (i32.add (local.get $at) (i32.const 4))))
                    (br $stepped)))))))
        (if (i32.gt_u (local.get $n) (i32.const 255))
          (then
            (global.set $last (i32.shl (i32.eq (local.get $p) (local.get $end)) (i32.const 1)))
            (return (i32.const 37))))
        (local.set $at (call $find (local.get $at)))
        (if (i32.and (i32.eqz (local.get $at)) (i32.ne (local.get $p) (local.get $end)))
          (then (return (i32.const 44)))))
      (br_if $names (i32.ne (local.get $p) (local.get $end))))
    (global.set $found (local.get $at))
    (i32.const 0))

  ;; Whether a slash is between them, with `but` 2 one that is not among the last characters.
  (func $slash_behind (param $p i32) (param $end i32) (param $but i32) (result i32)
    (if (i32.eq (local.get $but) (i32.const 2))
      (then
        (loop $slashes
          (if (i32.eq (i32.load8_u (i32.sub (local.get $end) (i32.const 1))) (i32.const 47))
            (then
              (local.set $end (i32.sub (local.get $end) (i32.const 1)))
              (br $slashes))))))
    (loop $bytes
      (if (i32.eq (local.get $p) (local.get $end)) (then (return (i32.const 0))))
      (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 47)) (then (return (i32.const 1))))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (br $bytes))
    (unreachable))

  ;; The same, and whatever is at its end has to be there; a slash at the end stands behind folders only.
  (func $walk_to (param $fd i32) (param $p i32) (param $length i32) (param $zeros i32) (result i32)
    (local $error i32)
    (local.set $error (call $walk (local.get $fd) (local.get $p) (local.get $length) (local.get $zeros)))
    (if (local.get $error) (then (return (local.get $error))))
    (if (i32.eqz (global.get $found)) (then (return (i32.const 44))))
    (call $wrong_slash))
  (func $wrong_slash (result i32)
    (if (i32.eqz (global.get $slash)) (then (return (i32.const 0))))
    (select (i32.const 0) (i32.const 54) (i32.eq (call $hidden_load32 (global.get $found)) (i32.const 3))))

  ;; UTF-8 without zeros: an errno; $zero is where the first one is.
  (global $zero (mut i32) (i32.const 0))
  (func $check_text (param $p i32) (param $n i32) (result i32)
    (local $end i32) (local $c i32) (local $more i32) (local $least i32) (local $zero i32)
    (call $check_range (local.get $p) (local.get $n))
    (local.set $end (i32.add (local.get $p) (local.get $n)))
    (block $done
      (loop $characters
        (br_if $done (i32.eq (local.get $p) (local.get $end)))
        (local.set $c (i32.load8_u (local.get $p)))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (if (i32.lt_u (local.get $c) (i32.const 128))
          (then
            (if (i32.eqz (i32.or (local.get $c) (local.get $zero)))
              (then
                (local.set $zero (i32.const 28))
                (global.set $zero (i32.sub (local.get $p) (i32.const 1)))))
            (br $characters)))
        (if (i32.or (i32.lt_u (local.get $c) (i32.const 0xc2)) (i32.gt_u (local.get $c) (i32.const 0xf4)))
          (then (return (i32.const 25))))
        (local.set $more (i32.add (i32.const 1) (i32.add
          (i32.ge_u (local.get $c) (i32.const 0xe0)) (i32.ge_u (local.get $c) (i32.const 0xf0)))))
        (local.set $least (i32.const 128))
        (local.set $c (i32.and (local.get $c) (i32.shr_u (i32.const 0x3f) (local.get $more))))
        (if (i32.eq (local.get $more) (i32.const 2)) (then (local.set $least (i32.const 0x800))))
        (if (i32.eq (local.get $more) (i32.const 3)) (then (local.set $least (i32.const 0x10000))))
        (loop $rest
          (if (i32.eq (local.get $p) (local.get $end)) (then (return (i32.const 25))))
          (if (i32.ne (i32.and (i32.load8_u (local.get $p)) (i32.const 0xc0)) (i32.const 0x80))
            (then (return (i32.const 25))))
          (local.set $c (i32.or
            (i32.shl (local.get $c) (i32.const 6))
            (i32.and (i32.load8_u (local.get $p)) (i32.const 0x3f))))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (local.set $more (i32.sub (local.get $more) (i32.const 1)))
          (br_if $rest (local.get $more)))
        (if (i32.or (i32.lt_u (local.get $c) (local.get $least)) (i32.gt_u (local.get $c) (i32.const 0x10ffff)))
          (then (return (i32.const 25))))
        (if (i32.eq (i32.and (local.get $c) (i32.const 0x1ff800)) (i32.const 0xd800)) (then (return (i32.const 25))))
        (br $characters)))
    (local.get $zero))

  ;; The node of the name in a folder, or 0.
  (func $find (param $at i32) (result i32)
    (local.set $at (call $hidden_load32 (i32.add (local.get $at) (i32.const 12))))
    (block $none
      (loop $nodes
        (br_if $none (i32.eqz (local.get $at)))
        (if (i32.eq (call $hidden_load32 (i32.add (local.get $at) (i32.const 28))) (global.get $name_length))
          (then
            (if (i32.eqz (call $compare (local.get $at)))
              (then (return (local.get $at))))))
        (local.set $at (call $hidden_load32 (i32.add (local.get $at) (i32.const 8))))
        (br $nodes)))
    (i32.const 0))

  ;; The order of a node's name and of the name, by bytes: below 0, 0, above 0.
  (func $compare (param $at i32) (result i32)
    (local $theirs i32) (local $n i32) (local $rest i32) (local $p i32) (local $difference i32)
    (local.set $theirs (call $hidden_load32 (i32.add (local.get $at) (i32.const 24))))
    (local.set $n (call $hidden_load32 (i32.add (local.get $at) (i32.const 28))))
    (local.set $rest (i32.sub (local.get $n) (global.get $name_length)))
    (if (i32.gt_s (local.get $rest) (i32.const 0)) (then (local.set $n (global.get $name_length))))
    (local.set $p (global.get $name))
    (local.set $n (i32.add (local.get $p) (local.get $n)))
    (block $same
      (loop $bytes
        (br_if $same (i32.eq (local.get $p) (local.get $n)))
        (local.set $difference (i32.sub (call $hidden_load8 (local.get $theirs)) (i32.load8_u (local.get $p))))
        (if (local.get $difference) (then (return (local.get $difference))))
        (local.set $theirs (i32.add (local.get $theirs) (i32.const 1)))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br $bytes)))
    (local.get $rest))

  ;; Nodes

  (func $changed
    (call $hidden_store32 (i32.add (global.get $files) (i32.const 12))
      (i32.add (call $hidden_load32 (i32.add (global.get $files) (i32.const 12))) (i32.const 1))))
  (func $is_linked (param $node i32) (result i32)
    (i32.and (call $hidden_load32 (i32.add (local.get $node) (i32.const 36))) (i32.const 1)))
  (func $write_state (param $node i32) (param $clear i32) (param $set i32)
    (call $changed)
    (call $hidden_store32 (i32.add (local.get $node) (i32.const 36))
      (i32.or
        (i32.and (call $hidden_load32 (i32.add (local.get $node) (i32.const 36))) (local.get $clear))
        (local.get $set))))

  ;; n fresh bytes of the area, or 0 where there is no room.
  (func $reserve (param $n i32) (result i32)
    (local $at i32)
    (local.set $at (call $hidden_load32 (global.get $files)))
    (if (i32.eqz (local.get $at)) (then (local.set $at (i32.add (global.get $files) (i32.const 16)))))
    (if (i32.gt_u (local.get $n) (i32.sub (global.get $table) (local.get $at))) (then (return (i32.const 0))))
    (call $hidden_store32 (global.get $files)
      (i32.add (local.get $at) (i32.and (i32.add (local.get $n) (i32.const 3)) (i32.const -4))))
    (local.get $at))

  ;; Puts a node under the name into $folder, at its place in the order of names.
  (func $enter (param $node i32)
    (local $place i32) (local $next i32)
    (local.set $place (i32.add (global.get $folder) (i32.const 12)))
    (block $here
      (loop $nodes
        (local.set $next (call $hidden_load32 (local.get $place)))
        (br_if $here (i32.eqz (local.get $next)))
        (br_if $here (i32.gt_s (call $compare (local.get $next)) (i32.const 0)))
        (local.set $place (i32.add (local.get $next) (i32.const 8)))
        (br $nodes)))
    (call $hidden_store32 (local.get $place) (local.get $node))
    (call $hidden_store32 (i32.add (local.get $node) (i32.const 8)) (local.get $next))
    (call $hidden_store32 (i32.add (local.get $node) (i32.const 4)) (global.get $folder))
    (call $write_state (local.get $node) (i32.const 2) (i32.const 1)))

  ;; Takes a node out of the folder it is in.
  (func $leave (param $node i32)
    (local $place i32) (local $next i32)
    (local.set $place (i32.add (call $hidden_load32 (i32.add (local.get $node) (i32.const 4))) (i32.const 12)))
    (block $here
      (loop $nodes
        (local.set $next (call $hidden_load32 (local.get $place)))
        (br_if $here (i32.eq (local.get $next) (local.get $node)))
        (local.set $place (i32.add (local.get $next) (i32.const 8)))
        (br $nodes)))
    (call $hidden_store32 (local.get $place) (call $hidden_load32 (i32.add (local.get $node) (i32.const 8))))
    (call $write_state (local.get $node) (i32.const 2) (i32.const 0)))

  ;; Makes the name the node's own; 0 where there is no room.
  (func $call_it (param $node i32) (result i32)
    (local $to i32) (local $n i32)
    (local.set $to (call $reserve (global.get $name_length)))
    (if (i32.eqz (local.get $to)) (then (return (i32.const 0))))
    (call $hidden_store32 (i32.add (local.get $node) (i32.const 24)) (local.get $to))
    (call $hidden_store32 (i32.add (local.get $node) (i32.const 28)) (global.get $name_length))
    (call $to_hidden (local.get $to) (global.get $name) (global.get $name_length))
    (local.get $to))

  ;; A new node in $folder under the name; $found is it. An errno.
  (func $create (param $type i32) (result i32)
    (local $node i32)
    (if (i32.eqz (call $is_linked (global.get $folder))) (then (return (i32.const 44))))
    (local.set $node (call $reserve (i32.const 56)))
    (if (i32.eqz (local.get $node)) (then (return (i32.const 51))))
    (if (i32.eqz (call $call_it (local.get $node))) (then (return (i32.const 51))))
    (call $hidden_store32 (local.get $node) (local.get $type))
    (call $hidden_store32
      (i32.add (local.get $node) (i32.const 32)) (call $hidden_load32 (i32.add (global.get $files) (i32.const 8))))
    (call $hidden_store32 (i32.add (global.get $files) (i32.const 8))
      (i32.add (call $hidden_load32 (i32.add (global.get $files) (i32.const 8))) (i32.const 1)))
    (call $put64 (i32.add (local.get $node) (i32.const 40)) (call $time))
    (call $put64 (i32.add (local.get $node) (i32.const 48)) (call $time))
    (call $enter (local.get $node))
    (global.set $found (local.get $node))
    (i32.const 0))

  ;; n bytes of linear memory to hidden memory; the caller has checked the bounds.
  (func $to_hidden (param $to i32) (param $from i32) (param $n i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $from) (local.get $n)))
    (block $words_end
      (loop $words
        (br_if $words_end (i32.lt_u (local.get $n) (i32.const 4)))
        (call $hidden_store32 (local.get $to) (i32.load (local.get $from)))
        (local.set $to (i32.add (local.get $to) (i32.const 4)))
        (local.set $from (i32.add (local.get $from) (i32.const 4)))
        (local.set $n (i32.sub (local.get $n) (i32.const 4)))
        (br $words)))
    (block $done
      (loop $bytes
        (br_if $done (i32.eq (local.get $from) (local.get $end)))
        (call $hidden_store8 (local.get $to) (i32.load8_u (local.get $from)))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (br $bytes))))

  ;; Makes a file as long as this: what is new is zero. An errno.
  (func $resize (param $node i32) (param $size i64) (result i32)
    (local $n i32) (local $old i32) (local $room i32) (local $to i32) (local $from i32)
    (if (i64.gt_u (local.get $size) (i64.const 0x4000000)) (then (return (i32.const 22))))
    (local.set $n (i32.wrap_i64 (local.get $size)))
    (local.set $old (call $hidden_load32 (i32.add (local.get $node) (i32.const 16))))
    (local.set $room (call $hidden_load32 (i32.add (local.get $node) (i32.const 20))))
    (local.set $from (call $hidden_load32 (i32.add (local.get $node) (i32.const 12))))
    (if (i32.gt_u (local.get $n) (local.get $room))
      (then
        (local.set $room (i32.shl (local.get $room) (i32.const 1)))
        (if (i32.lt_u (local.get $room) (i32.const 256)) (then (local.set $room (i32.const 256))))
        (if (i32.lt_u (local.get $room) (local.get $n)) (then (local.set $room (local.get $n))))
        (local.set $to (call $reserve (local.get $room)))
        (if (i32.eqz (local.get $to))
          (then
            (local.set $room (local.get $n))
            (local.set $to (call $reserve (local.get $room)))
            (if (i32.eqz (local.get $to)) (then (return (i32.const 51))))))
        (call $hidden_store32 (i32.add (local.get $node) (i32.const 12)) (local.get $to))
        (call $hidden_store32 (i32.add (local.get $node) (i32.const 20)) (local.get $room))
        (local.set $room (i32.add (local.get $from) (local.get $old)))
        (block $copied
          (loop $words
            (br_if $copied (i32.ge_s (local.get $from) (local.get $room)))
            (call $hidden_store32 (local.get $to) (call $hidden_load32 (local.get $from)))
            (local.set $from (i32.add (local.get $from) (i32.const 4)))
            (local.set $to (i32.add (local.get $to) (i32.const 4)))
            (br $words)))
        (local.set $from (call $hidden_load32 (i32.add (local.get $node) (i32.const 12))))))
    (call $hidden_store32 (i32.add (local.get $node) (i32.const 16)) (local.get $n))
    (call $write_state (local.get $node) (i32.const 1) (i32.const 2))
    (local.set $to (i32.add (local.get $from) (local.get $n)))
    (local.set $from (i32.add (local.get $from) (local.get $old)))
    (block $done
      (loop $zeros
        (br_if $done (i32.ge_s (local.get $from) (local.get $to)))
        (call $hidden_store8 (local.get $from) (i32.const 0))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (br $zeros)))
    (i32.const 0))

  ;; Reading and writing

  (func (export "fd_read") (param $fd i32) (param $vectors i32) (param $count i32) (param $read i32) (result i32)
    (local $p i32) (local $n i32) (local $kind i32) (local $position i32)
    (if (i32.ge_u (local.get $count) (i32.const 0x20000000)) (then (return (i32.const 48))))
    (call $first_buffer (local.get $vectors) (local.get $count))
    (local.set $n)
    (local.set $p)
    (local.set $kind (call $kind (local.get $fd)))
    (if (i32.eq (local.get $kind) (i32.const 1))
      (then
        (local.set $n (call $read_stdin (local.get $p) (local.get $n)))
        (if (i32.lt_s (local.get $n) (i32.const 0)) (then (return (i32.const 27)))))
      (else
        (if (i32.ne (local.get $kind) (i32.const 5)) (then (return (i32.const 8))))
        (call $check_range (local.get $p) (local.get $n))
        (if (i32.eqz (i32.and (call $mode (local.get $fd)) (i32.const 1))) (then (return (i32.const 8))))
        (local.set $position (i32.add (call $entry (local.get $fd)) (i32.const 8)))
        (local.set $n (call $part
          (call $node (local.get $fd)) (call $get64 (local.get $position)) (local.get $n)))
        (call $read_part (call $node (local.get $fd)) (i32.wrap_i64 (call $get64 (local.get $position)))
          (local.get $p) (local.get $n))
        (call $put64 (local.get $position)
          (i64.add (call $get64 (local.get $position)) (i64.extend_i32_u (local.get $n))))))
    (call $check_aligned (local.get $read) (i32.const 3))
    (i32.store (local.get $read) (local.get $n))
    (i32.const 0))

  ;; How many of n bytes there are at a position.
  (func $part (param $node i32) (param $at i64) (param $n i32) (result i32)
    (local $size i64)
    (local.set $size (i64.extend_i32_u (call $hidden_load32 (i32.add (local.get $node) (i32.const 16)))))
    (if (i64.ge_u (local.get $at) (local.get $size)) (then (return (i32.const 0))))
    (local.set $size (i64.sub (local.get $size) (local.get $at)))
    (if (i64.gt_u (i64.extend_i32_u (local.get $n)) (local.get $size))
      (then (return (i32.wrap_i64 (local.get $size)))))
    (local.get $n))
  (func $read_part (param $node i32) (param $at i32) (param $p i32) (param $n i32)
    (if (local.get $n)
      (then
        (call $check_range (local.get $p) (local.get $n))
        (call $copy_hidden
          (local.get $p)
          (i32.add (call $hidden_load32 (i32.add (local.get $node) (i32.const 12))) (local.get $at))
          (local.get $n)))))

  ;; As in wasi.wat: how much was read, -1 for "interrupted".
  (func $read_stdin (param $p i32) (param $n i32) (result i32)
    (local $rest i32)
    (local.set $rest (i32.sub (global.get $stdin_length) (global.get $stdin_position)))
    (if (i32.eqz (local.get $rest)) (then (return (i32.const 0))))
    (if (i32.eqz (local.get $n)) (then (return (i32.const -1))))
    (if (i32.gt_u (local.get $n) (local.get $rest)) (then (local.set $n (local.get $rest))))
    (local.set $rest (i32.sub (i32.const 0x10000) (i32.and (global.get $stdin_position) (i32.const 0xffff))))
    (if (i32.gt_u (local.get $n) (local.get $rest)) (then (local.set $n (local.get $rest))))
    (local.set $rest (i32.add (global.get $stdin_position) (global.get $stdin)))
    (global.set $stdin_position (i32.add (global.get $stdin_position) (local.get $n)))
    (call $check_range (local.get $p) (local.get $n))
    (call $copy_hidden (local.get $p) (local.get $rest) (local.get $n))
    (local.get $n))

  (func (export "fd_pread")
    (param $fd i32) (param $vectors i32) (param $count i32) (param $at i64) (param $read i32) (result i32)
    (local $p i32) (local $n i32)
    (if (i32.ge_u (local.get $count) (i32.const 0x20000000)) (then (return (i32.const 48))))
    (call $first_buffer (local.get $vectors) (local.get $count))
    (local.set $n)
    (local.set $p)
    (if (call $not_file (local.get $fd))
      (then (return (select (i32.const 70) (i32.const 8) (i32.eq (call $kind (local.get $fd)) (i32.const 1))))))
    (if (i64.lt_s (local.get $at) (i64.const 0)) (then (return (i32.const 28))))
    (if (i32.eqz (i32.and (call $mode (local.get $fd)) (i32.const 1))) (then (return (i32.const 8))))
    (if (i32.gt_u (local.get $n) (i32.const 0x10000)) (then (local.set $n (i32.const 0x10000))))
    (local.set $n (call $part (call $node (local.get $fd)) (local.get $at) (local.get $n)))
    (call $read_part (call $node (local.get $fd)) (i32.wrap_i64 (local.get $at)) (local.get $p) (local.get $n))
    (call $check_aligned (local.get $read) (i32.const 3))
    (i32.store (local.get $read) (local.get $n))
    (i32.const 0))

  (func (export "fd_write") (param $fd i32) (param $vectors i32) (param $count i32) (param $written i32) (result i32)
    (local $p i32) (local $n i32) (local $kind i32) (local $position i32) (local $at i64) (local $error i32)
    (if (i32.ge_u (local.get $count) (i32.const 0x20000000)) (then (return (i32.const 48))))
    (call $first_buffer (local.get $vectors) (local.get $count))
    (local.set $n)
    (local.set $p)
    (local.set $kind (call $kind (local.get $fd)))
    (if (i32.eq (i32.and (local.get $kind) (i32.const 6)) (i32.const 2))
      (then
        (if (local.get $n)
          (then
            (call $check_range (local.get $p) (local.get $n))
            (if (i32.eq (local.get $kind) (i32.const 2))
              (then (call $write_stdout (local.get $p) (local.get $n)))
              (else (call $write_stderr (local.get $p) (local.get $n)))))))
      (else
        (if (i32.ne (local.get $kind) (i32.const 5)) (then (return (i32.const 8))))
        (local.set $position (i32.add (call $entry (local.get $fd)) (i32.const 8)))
        (local.set $at (call $get64 (local.get $position)))
        (local.set $error (call $write_file (local.get $fd) (local.get $at) (local.get $p) (local.get $n)))
        (if (local.get $error) (then (return (local.get $error))))
        (call $put64 (local.get $position)
          (select
            (i64.extend_i32_u (call $hidden_load32 (i32.add (call $node (local.get $fd)) (i32.const 16))))
            (i64.add (local.get $at) (i64.extend_i32_u (local.get $n)))
            (i32.and (call $mode (local.get $fd)) (i32.const 4))))))
    (call $check_aligned (local.get $written) (i32.const 3))
    (i32.store (local.get $written) (local.get $n))
    (i32.const 0))

  (func (export "fd_pwrite")
    (param $fd i32) (param $vectors i32) (param $count i32) (param $at i64) (param $written i32) (result i32)
    (local $p i32) (local $n i32) (local $error i32)
    (if (i32.ge_u (local.get $count) (i32.const 0x20000000)) (then (return (i32.const 48))))
    (call $first_buffer (local.get $vectors) (local.get $count))
    (local.set $n)
    (local.set $p)
    (if (call $not_file (local.get $fd))
      (then
        (return (select (i32.const 70) (i32.const 8)
          (i32.eq (i32.and (call $kind (local.get $fd)) (i32.const 6)) (i32.const 2))))))
    (local.set $error (call $write_file (local.get $fd) (local.get $at) (local.get $p) (local.get $n)))
    (if (local.get $error) (then (return (local.get $error))))
    (call $check_aligned (local.get $written) (i32.const 3))
    (i32.store (local.get $written) (local.get $n))
    (i32.const 0))

  ;; At a position, or at the file's end where the descriptor appends. An errno.
  (func $write_file (param $fd i32) (param $at i64) (param $p i32) (param $n i32) (result i32)
    (local $node i32) (local $end i64) (local $size i64) (local $error i32)
    (call $check_range (local.get $p) (local.get $n))
    (if (i64.lt_s (local.get $at) (i64.const 0))
      (then (if (i32.eqz (i32.and (call $mode (local.get $fd)) (i32.const 4))) (then (return (i32.const 28))))))
    (if (i32.eqz (i32.and (call $mode (local.get $fd)) (i32.const 2))) (then (return (i32.const 8))))
    (local.set $node (call $node (local.get $fd)))
    (local.set $size (i64.extend_i32_u (call $hidden_load32 (i32.add (local.get $node) (i32.const 16)))))
    (if (i32.and (call $mode (local.get $fd)) (i32.const 4)) (then (local.set $at (local.get $size))))
    (local.set $end (i64.add (local.get $at) (i64.extend_i32_u (local.get $n))))
    (if (i64.lt_s (local.get $end) (i64.const 0)) (then (return (i32.const 28))))
    (if (i32.eqz (local.get $n)) (then (return (i32.const 0))))
    (if (i64.gt_u (local.get $end) (local.get $size))
      (then
        (local.set $error (call $resize (local.get $node) (local.get $end)))
        (if (local.get $error) (then (return (local.get $error))))))
    (call $write_state (local.get $node) (i32.const 1) (i32.const 2))
    (call $to_hidden
      (i32.add (call $hidden_load32 (i32.add (local.get $node) (i32.const 12))) (i32.wrap_i64 (local.get $at)))
      (local.get $p) (local.get $n))
    (i32.const 0))

  (func (export "fd_seek") (param $fd i32) (param $offset i64) (param $whence i32) (param $to i32) (result i32)
    (local $from i64) (local $position i32) (local $error i32)
    (if (i32.gt_u (local.get $whence) (i32.const 2)) (then (call $trap_host_error)))
    (local.set $error (call $not_seekable (local.get $fd)))
    (if (local.get $error) (then (return (local.get $error))))
    (local.set $position (i32.add (call $entry (local.get $fd)) (i32.const 8)))
    (if (i32.eq (local.get $whence) (i32.const 1)) (then (local.set $from (call $get64 (local.get $position)))))
    (if (i32.eq (local.get $whence) (i32.const 2))
      (then
        (local.set $from
          (i64.extend_i32_u (call $hidden_load32 (i32.add (call $node (local.get $fd)) (i32.const 16)))))))
    (local.set $from (i64.add (local.get $from) (local.get $offset)))
    ;; Nothing lies before the beginning, and nothing at 2^64.
    (if (select
          (i64.gt_u (i64.sub (local.get $from) (local.get $offset)) (local.get $from))
          (i64.lt_u (i64.sub (local.get $from) (local.get $offset)) (i64.sub (i64.const 0) (local.get $offset)))
          (i64.ge_s (local.get $offset) (i64.const 0)))
      (then (return (i32.const 28))))
    (call $put64 (local.get $position) (local.get $from))
    (call $store64 (local.get $to) (local.get $from))
    (i32.const 0))
  (func (export "fd_tell") (param $fd i32) (param $to i32) (result i32)
    (local $error i32)
    (local.set $error (call $not_seekable (local.get $fd)))
    (if (local.get $error) (then (return (local.get $error))))
    (call $store64 (local.get $to) (call $get64 (i32.add (call $entry (local.get $fd)) (i32.const 8))))
    (i32.const 0))

  (func (export "fd_sync") (param $fd i32) (result i32) (call $not_file (local.get $fd)))
  (func (export "fd_datasync") (param $fd i32) (result i32) (call $not_file (local.get $fd)))
  (func (export "fd_advise") (param $fd i32) (param i64) (param $length i64) (param $advice i32) (result i32)
    (if (i32.gt_u (local.get $advice) (i32.const 5)) (then (call $trap_host_error)))
    (if (call $not_file (local.get $fd)) (then (return (i32.const 8))))
    (select (i32.const 28) (i32.const 0) (i64.lt_s (local.get $length) (i64.const 0))))
  (func (export "fd_allocate") (param $fd i32) (param i64 i64) (result i32)
    (select (i32.const 8) (i32.const 58) (call $not_file (local.get $fd))))
  (func (export "fd_filestat_set_size") (param $fd i32) (param $size i64) (result i32)
    (if (call $not_file (local.get $fd)) (then (return (i32.const 8))))
    (if (i64.lt_s (local.get $size) (i64.const 0)) (then (return (i32.const 28))))
    (if (i32.eqz (i32.and (call $mode (local.get $fd)) (i32.const 2))) (then (return (i32.const 28))))
    (call $resize (call $node (local.get $fd)) (local.get $size)))

  ;; What there is

  (func (export "fd_filestat_get") (param $fd i32) (param $stat i32) (result i32)
    (if (i32.eqz (call $kind (local.get $fd))) (then (return (i32.const 8))))
    (if (call $neither (local.get $fd))
      (then
        (call $stat (local.get $stat) (i32.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)
          (i64.const 0)))
      (else (call $tell_node (local.get $stat) (call $node (local.get $fd)))))
    (i32.const 0))
  (func $tell_node (param $to i32) (param $node i32)
    (call $stat (local.get $to) (call $hidden_load32 (local.get $node)) (i64.const 1)
      (i64.extend_i32_u (call $hidden_load32 (i32.add (local.get $node) (i32.const 32))))
      (i64.extend_i32_u (call $is_linked (local.get $node)))
      (i64.extend_i32_u (call $hidden_load32 (i32.add (local.get $node) (i32.const 16))))
      (call $get64 (i32.add (local.get $node) (i32.const 40)))
      (call $get64 (i32.add (local.get $node) (i32.const 48)))))
  (func (export "path_filestat_get")
    (param $fd i32) (param $follow i32) (param $path i32) (param $length i32) (param $stat i32) (result i32)
    (local $error i32)
    (if (i32.gt_u (local.get $follow) (i32.const 1)) (then (call $trap_host_error)))
    (local.set $error (call $path_to (local.get $fd) (local.get $path) (local.get $length) (i32.const 0)))
    (if (local.get $error) (then (return (local.get $error))))
    (call $tell_node (local.get $stat) (global.get $found))
    (i32.const 0))
  (func $path_to (param $fd i32) (param $path i32) (param $length i32) (param $zeros i32) (result i32)
    (if (call $not_folder (local.get $fd)) (then (return (i32.const 8))))
    (call $walk_to (local.get $fd) (local.get $path) (local.get $length) (local.get $zeros)))

  (func (export "fd_filestat_set_times")
    (param $fd i32) (param $read i64) (param $written i64) (param $flags i32) (result i32)
    (if (call $wrong_times (local.get $flags)) (then (return (i32.const 28))))
    (if (call $neither (local.get $fd)) (then (return (i32.const 8))))
    (call $set_times (call $node (local.get $fd)) (local.get $read) (local.get $written) (local.get $flags))
    (i32.const 0))
  (func (export "path_filestat_set_times")
    (param $fd i32) (param $follow i32) (param $path i32) (param $length i32) (param $read i64) (param $written i64)
    (param $flags i32) (result i32)
    (local $error i32)
    (if (i32.gt_u (local.get $follow) (i32.const 1)) (then (call $trap_host_error)))
    (if (call $wrong_times (local.get $flags)) (then (return (i32.const 28))))
    (if (call $not_folder (local.get $fd)) (then (return (i32.const 8))))
    (local.set $error
      (call $walk (local.get $fd) (local.get $path) (local.get $length) (i32.eqz (local.get $follow))))
    ;; With nothing to set, whether the last name is there does not matter.
    (if (i32.eqz (i32.or (i32.or (local.get $flags) (local.get $follow)) (global.get $slash)))
      (then
        (if (select (i32.eq (global.get $last) (i32.const 2)) (i32.eqz (global.get $found)) (local.get $error))
          (then (return (i32.const 0))))))
    (if (local.get $error) (then (return (local.get $error))))
    (if (i32.eqz (global.get $found)) (then (return (i32.const 44))))
    (local.set $error (call $wrong_slash))
    (if (local.get $error) (then (return (local.get $error))))
    (call $set_times (global.get $found) (local.get $read) (local.get $written) (local.get $flags))
    (i32.const 0))
  ;; Flags: 1 the time of access, 2 now, 4 the time of modification, 8 now.
  (func $wrong_times (param $flags i32) (result i32)
    (if (i32.gt_u (local.get $flags) (i32.const 15)) (then (call $trap_host_error)))
    (i32.and (i32.and (local.get $flags) (i32.shr_u (local.get $flags) (i32.const 1))) (i32.const 5)))
  (func $set_times (param $node i32) (param $read i64) (param $written i64) (param $flags i32)
    (if (i32.and (local.get $flags) (i32.const 2)) (then (local.set $read (call $time))))
    (if (i32.and (local.get $flags) (i32.const 8)) (then (local.set $written (call $time))))
    (if (i32.and (local.get $flags) (i32.const 3))
      (then (call $put64 (i32.add (local.get $node) (i32.const 40)) (local.get $read))))
    (if (i32.and (local.get $flags) (i32.const 12))
      (then (call $put64 (i32.add (local.get $node) (i32.const 48)) (local.get $written)))))

  ;; An entry has 24 bytes and the name: the next one's number, the file's number, the name's length, its type. What does
  ;; not fit is cut off. The order is that of names.
  (func (export "fd_readdir")
    (param $fd i32) (param $to i32) (param $room i32) (param $cookie i64) (param $used i32) (result i32)
    (local $folder i32) (local $at i32) (local $n i64) (local $rest i32) (local $start i32)
    (if (call $not_folder (local.get $fd)) (then (return (i32.const 8))))
    (local.set $folder (call $node (local.get $fd)))
    (local.set $at (call $hidden_load32 (i32.add (local.get $folder) (i32.const 12))))
    (local.set $rest (local.get $room))
    (local.set $start (local.get $to))
    (block $done
      (loop $entries
        (br_if $done (i32.and (i64.gt_u (local.get $n) (i64.const 1)) (i32.eqz (local.get $at))))
        (if (i64.ge_u (local.get $n) (local.get $cookie))
          (then
            (if (i64.gt_u (local.get $n) (i64.const 1))
              (then (local.set $rest (call $write_entry (local.get $to) (local.get $rest) (local.get $n)
                (call $hidden_load32 (i32.add (local.get $at) (i32.const 32)))
                (call $hidden_load32 (local.get $at))
                (call $hidden_load32 (i32.add (local.get $at) (i32.const 24)))
                (call $hidden_load32 (i32.add (local.get $at) (i32.const 28))))))
              (else (local.set $rest (call $write_entry (local.get $to) (local.get $rest) (local.get $n)
                (call $hidden_load32 (i32.add (local.get $folder) (i32.const 32))) (i32.const 3) (i32.const 0)
                (i32.add (i32.wrap_i64 (local.get $n)) (i32.const 1))))))
            (local.set $to (i32.sub (i32.add (local.get $to) (local.get $room)) (local.get $rest)))
            (if (i32.lt_u (local.get $to) (local.get $start)) (then (call $trap_memory_out_of_bounds))) ;; at 4 GiB
            (local.set $room (local.get $rest))
            (br_if $done (i32.eqz (local.get $rest)))))
        (if (i64.gt_u (local.get $n) (i64.const 1))
          (then (local.set $at (call $hidden_load32 (i32.add (local.get $at) (i32.const 8))))))
        (local.set $n (i64.add (local.get $n) (i64.const 1)))
        (br $entries)))
    (i32.store (call $at (local.get $used) (i32.const 4)) (i32.sub (local.get $to) (local.get $start)))
    (i32.const 0))
  ;; name 0: that many dots. The rest of the room.
  (func $write_entry
    (param $to i32) (param $room i32) (param $n i64) (param $number i32) (param $type i32) (param $name i32)
    (param $length i32) (result i32)
    (local $word i32) (local $k i32) (local $end i32)
    (local.set $end (select (i32.const 24) (local.get $room) (i32.gt_u (local.get $room) (i32.const 24))))
    (if (local.get $end) (then (call $check_range (local.get $to) (local.get $end))))
    (local.set $room (i32.sub (local.get $room) (local.get $end)))
    (block $head
      (loop $bytes
        (br_if $head (i32.eq (local.get $k) (local.get $end)))
        (if (i32.eqz (i32.and (local.get $k) (i32.const 3)))
          (then
            (local.set $word (i32.const 0))
            (if (i32.eqz (local.get $k)) (then (local.set $word (i32.add (i32.wrap_i64 (local.get $n)) (i32.const 1)))))
            (if (i32.eq (local.get $k) (i32.const 8)) (then (local.set $word (local.get $number))))
            (if (i32.eq (local.get $k) (i32.const 16)) (then (local.set $word (local.get $length))))
            (if (i32.eq (local.get $k) (i32.const 20)) (then (local.set $word (local.get $type))))))
        (i32.store8 (i32.add (local.get $to) (local.get $k)) (local.get $word))
        (local.set $word (i32.shr_u (local.get $word) (i32.const 8)))
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (br $bytes)))
    (local.set $to (i32.add (local.get $to) (local.get $end)))
    (if (i32.lt_u (local.get $to) (local.get $end)) (then (call $trap_memory_out_of_bounds))) ;; at 4 GiB
    (if (i32.gt_u (local.get $length) (local.get $room)) (then (local.set $length (local.get $room))))
    (if (local.get $length)
      (then
        (call $check_range (local.get $to) (local.get $length))
        (if (local.get $name)
          (then (call $copy_hidden (local.get $to) (local.get $name) (local.get $length)))
          (else
            (i32.store8 (local.get $to) (i32.const 46))
            (if (i32.gt_u (local.get $length) (i32.const 1))
              (then (i32.store8 offset=1 (local.get $to) (i32.const 46))))))))
    (i32.sub (local.get $room) (local.get $length)))

  ;; Opening, making, removing

  ;; Open flags: 1 create, 2 only a folder, 4 only what is new, 8 empty. Rights: 2 to read, 64 to write. Descriptor flags: 1
  ;; append, 4 do not block; 2, 8, 16 would be written through, which is not supported.
  (func (export "path_open")
    (param $fd i32) (param $follow i32) (param $path i32) (param $length i32) (param $open i32) (param $rights i64)
    (param $below i64) (param $flags i32) (param $to i32) (result i32)
    (local $error i32) (local $mode i32) (local $create i32)
    (if (i32.gt_u (local.get $follow) (i32.const 1)) (then (call $trap_host_error)))
    (if (i32.gt_u (local.get $open) (i32.const 15)) (then (call $trap_host_error)))
    (call $check_rights (local.get $rights))
    (call $check_rights (local.get $below))
    (if (i32.gt_u (local.get $flags) (i32.const 31)) (then (call $trap_host_error)))
    (call $check_range (local.get $path) (local.get $length))
    (if (call $not_folder (local.get $fd))
      (then
        (local.set $error (call $check_text (local.get $path) (local.get $length)))
        (if (i32.eq (local.get $error) (i32.const 25)) (then (return (i32.const 25))))
        (return (select (i32.const 54) (i32.const 8) (i32.eq (call $kind (local.get $fd)) (i32.const 5))))))
    (local.set $error (call $check_text (local.get $path) (local.get $length)))
    (if (i32.eq (local.get $error) (i32.const 25)) (then (return (i32.const 25))))
    (if (i32.and (local.get $flags) (i32.const 26)) (then (return (i32.const 58))))
    (if (i32.and (i32.ne (i32.and (local.get $open) (i32.const 2)) (i32.const 0))
                 (i32.ne (i32.and (local.get $open) (i32.const 13)) (i32.const 0)))
      (then (return (i32.const 28))))
    (local.set $error (call $walk (local.get $fd) (local.get $path) (local.get $length) (i32.const 0)))
    (local.set $create (i32.and (local.get $open) (i32.const 1)))
    (if (local.get $error)
      (then
        (return (select (i32.const 31) (local.get $error) ;; the slash behind what is to be made comes before a name's length
          (i32.and (i32.and (local.get $create) (global.get $slash)) (i32.eq (global.get $last) (i32.const 2)))))))
    (if (i32.eqz (i64.eqz (i64.and (local.get $rights) (i64.const 2)))) (then (local.set $mode (i32.const 1))))
    (if (i64.eqz (i64.and (local.get $rights) (i64.const 64)))
      (then (local.set $mode (i32.const 1)))
      (else (local.set $mode (i32.or (local.get $mode) (i32.const 2)))))
    (if (i32.and (local.get $open) (i32.const 9)) (then (local.set $mode (i32.or (local.get $mode) (i32.const 2)))))
    (if (i32.and (local.get $create) (global.get $slash)) (then (return (i32.const 31))))
    (if (global.get $found)
      (then
        (if (i32.eq (i32.and (local.get $open) (i32.const 5)) (i32.const 5)) (then (return (i32.const 20))))
        (if (call $wrong_slash) (then (return (i32.const 54))))
        (if (i32.eq (call $hidden_load32 (global.get $found)) (i32.const 3))
          (then (if (i32.and (local.get $mode) (i32.const 2)) (then (return (i32.const 31)))))
          (else
            (if (i32.and (local.get $open) (i32.const 2)) (then (return (i32.const 54))))
            (if (i32.and (local.get $open) (i32.const 8))
              (then (drop (call $resize (global.get $found) (i64.const 0))))))))
      (else
        (if (i32.eqz (local.get $create)) (then (return (i32.const 44))))
        (local.set $error (call $create (i32.const 4)))
        (if (local.get $error) (then (return (local.get $error))))))
    (local.set $mode (call $assign
      (global.get $found) (i32.or (local.get $mode) (call $flags_mode (local.get $flags)))))
    (if (i32.eq (local.get $mode) (i32.const -1)) (then (return (i32.const 33))))
    (i32.store (call $at (local.get $to) (i32.const 4)) (local.get $mode))
    (i32.const 0))

  (func (export "path_create_directory") (param $fd i32) (param $path i32) (param $length i32) (result i32)
    (local $error i32)
    (if (call $not_folder (local.get $fd)) (then (return (i32.const 8))))
    (local.set $error (call $walk (local.get $fd) (local.get $path) (local.get $length) (i32.const 2)))
    (if (local.get $error) (then (return (local.get $error))))
    (if (global.get $found) (then (return (i32.const 20))))
    (call $create (i32.const 3)))

  (func (export "path_remove_directory") (param $fd i32) (param $path i32) (param $length i32) (result i32)
    (local $error i32)
    (local.set $error (call $path_to (local.get $fd) (local.get $path) (local.get $length) (i32.const 1)))
    (if (local.get $error) (then (return (local.get $error))))
    (if (i32.ne (call $hidden_load32 (global.get $found)) (i32.const 3)) (then (return (i32.const 54))))
    (if (i32.or (i32.eqz (global.get $name_length)) (global.get $slash)) (then (return (i32.const 28))))
    (if (call $hidden_load32 (i32.add (global.get $found) (i32.const 12))) (then (return (i32.const 55))))
    (call $leave (global.get $found))
    (i32.const 0))

  (func (export "path_unlink_file") (param $fd i32) (param $path i32) (param $length i32) (result i32)
    (local $error i32)
    (local.set $error (call $path_to (local.get $fd) (local.get $path) (local.get $length) (i32.const 1)))
    (if (local.get $error) (then (return (local.get $error))))
    (if (i32.eq (call $hidden_load32 (global.get $found)) (i32.const 3)) (then (return (i32.const 31))))
    (call $leave (global.get $found))
    (i32.const 0))

  (func (export "path_rename")
    (param $fd i32) (param $path i32) (param $length i32) (param $to_fd i32) (param $to i32) (param $to_length i32)
    (result i32)
    (local $node i32) (local $last i32) (local $dot i32) (local $slash i32) (local $error i32)
    (if (call $not_folder (local.get $fd)) (then (return (i32.const 8))))
    (if (call $not_folder (local.get $to_fd)) (then (return (i32.const 8))))
    (if (i32.eq (call $check_text (local.get $path) (local.get $length)) (i32.const 25)) (then (return (i32.const 25))))
    (if (i32.eq (call $check_text (local.get $to) (local.get $to_length)) (i32.const 25)) (then (return (i32.const 25))))
    (local.set $error (call $walk (local.get $fd) (local.get $path) (local.get $length) (i32.const 2)))
    (local.set $last (global.get $last))
    (if (i32.and (i32.ne (local.get $error) (i32.const 0)) (i32.eqz (local.get $last))) (then (return (local.get $error))))
    (local.set $node (global.get $found))
    (local.set $dot (i32.eqz (global.get $name_length)))
    (local.set $slash (global.get $slash))
    (local.set $error (call $walk (local.get $to_fd) (local.get $to) (local.get $to_length) (i32.const 2)))
    (if (i32.and (i32.ne (local.get $error) (i32.const 0)) (i32.eqz (global.get $last))) (then (return (local.get $error))))
    (if (i32.and (i32.or (local.get $last) (global.get $last)) (i32.const 1)) (then (return (i32.const 28))))
    (if (i32.or (local.get $dot) (i32.eqz (global.get $name_length))) (then (return (i32.const 10))))
    (if (local.get $last) (then (return (i32.const 37))))
    (if (i32.eqz (local.get $node)) (then (return (i32.const 44))))
    (if (local.get $error) (then (return (i32.const 37))))
    (if (i32.ne (call $hidden_load32 (local.get $node)) (i32.const 3))
      (then
        (if (i32.or (local.get $slash) (global.get $slash)) (then (return (i32.const 54))))
        (if (global.get $found)
          (then
            (if (i32.eq (call $hidden_load32 (global.get $found)) (i32.const 3))
              (then
                (return (select (i32.const 55) (i32.const 31)
                  (call $inside (local.get $node) (global.get $found)))))))))
      (else
        (if (call $inside (global.get $folder) (local.get $node)) (then (return (i32.const 28))))
        (if (global.get $found)
          (then
            (if (i32.ne (global.get $found) (local.get $node))
              (then
                (if (call $inside (local.get $node) (global.get $found)) (then (return (i32.const 55))))
                (if (i32.ne (call $hidden_load32 (global.get $found)) (i32.const 3)) (then (return (i32.const 54))))
                (if (call $hidden_load32 (i32.add (global.get $found) (i32.const 12)))
                  (then (return (i32.const 55))))))))))
    (if (i32.eq (global.get $found) (local.get $node)) (then (return (i32.const 0))))
    (if (i32.eqz (call $is_linked (global.get $folder))) (then (return (i32.const 44))))
    (if (i32.eqz (call $call_it (local.get $node))) (then (return (i32.const 51))))
    (if (global.get $found) (then (call $leave (global.get $found))))
    (call $leave (local.get $node))
    (call $enter (local.get $node))
    (i32.const 0))
  ;; Whether a node is a folder or somewhere in it.
  (func $inside (param $node i32) (param $folder i32) (result i32)
    (loop $up
      (if (i32.eq (local.get $node) (local.get $folder)) (then (return (i32.const 1))))
      (local.set $node (call $hidden_load32 (i32.add (local.get $node) (i32.const 4))))
      (br_if $up (local.get $node)))
    (i32.const 0))

  ;; There are no links.
  (func (export "path_link")
    (param $fd i32) (param $follow i32) (param i32 i32) (param $to_fd i32) (param i32 i32) (result i32)
    (if (i32.gt_u (local.get $follow) (i32.const 1)) (then (call $trap_host_error)))
    (if (call $not_folder (local.get $fd)) (then (return (i32.const 8))))
    (if (call $not_folder (local.get $to_fd)) (then (return (i32.const 8))))
    (i32.const 58))
  (func (export "path_symlink") (param i32 i32) (param $fd i32) (param i32 i32) (result i32)
    (select (i32.const 8) (i32.const 58) (call $not_folder (local.get $fd))))
  (func (export "path_readlink")
    (param $fd i32) (param $path i32) (param $length i32) (param i32 i32 i32) (result i32)
    (local $error i32)
    (local.set $error (call $path_to (local.get $fd) (local.get $path) (local.get $length) (i32.const 1)))
    (select (local.get $error) (i32.const 28) (local.get $error))))
