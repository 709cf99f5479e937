;; env.wat for programs that throw, as Emscripten compiles longjmp and C++ without WebAssembly's exceptions: JavaScript throws a
;; number, which the invoke_* around it catches. Here it is an exception without values.
(module
  (import "w2x" "memory" (memory 0))
  (import "w2x" "table" (table 0 funcref))
  (import "w2x" "clock_seconds" (global $clock_seconds (mut i32)))
  (import "w2x" "clock_nanoseconds" (global $clock_nanoseconds (mut i32)))
  ;; The program's own. Functions 0 to 2: invoke.py knows them, and what newer programs call the last two.
  (import "w2x.program" "setThrew" (func $setThrew (param i32 i32)))
  (import "w2x.program" "stackSave" (func $stackSave (result i32)))
  (import "w2x.program" "stackRestore" (func $stackRestore (param i32)))
  (import "w2x.program" "malloc" (func $malloc (param i32) (result i32)))
  (import "w2x.program" "free" (func $free (param i32)))
  (import "w2x.program" "__cxa_can_catch" (func $can_catch (param i32 i32 i32) (result i32)))
  (import "w2x.program" "__cxa_is_pointer_type" (func $is_pointer_type (param i32) (result i32)))
  (tag $thrown)
  ;; include env_common.wat

  (func (export "_emscripten_throw_longjmp") (throw $thrown))
  (func (export "emscripten_longjmp") (param $buffer i32) (param $value i32)
    (call $setThrew (local.get $buffer) (select (local.get $value) (i32.const 1) (local.get $value)))
    (throw $thrown))

  ;; C++. In front of an object that is thrown are 24 bytes, which nobody else looks at: how often it is referred to (0), its
  ;; type (4), its destructor (8), bytes that say whether it was caught (12) and is thrown again (13), and where the part of it
  ;; is that the handler gets (16).
  (global $last (mut i32) (i32.const 0)) ;; the object in flight
  (global $uncaught (mut i32) (i32.const 0))
  (global $caught (mut i32) (i32.const 0)) ;; a list of what handlers have: the object, and (4) the next one

  (func (export "__cxa_allocate_exception") (param $size i32) (result i32)
    (i32.add (call $malloc (i32.add (local.get $size) (i32.const 24))) (i32.const 24)))
  (func $free_exception (export "__cxa_free_exception") (param $object i32)
    (call $free (i32.sub (local.get $object) (i32.const 24))))

  (func (export "__cxa_throw") (param $object i32) (param $type i32) (param $destructor i32) (local $info i32)
    (local.set $info (i32.sub (local.get $object) (i32.const 24)))
    (i32.store (local.get $info) (i32.const 0))
    (i32.store offset=4 (local.get $info) (local.get $type))
    (i32.store offset=8 (local.get $info) (local.get $destructor))
    (i32.store16 offset=12 (local.get $info) (i32.const 0))
    (i32.store offset=16 (local.get $info) (i32.const 0))
    (global.set $last (local.get $object))
    (global.set $uncaught (i32.add (global.get $uncaught) (i32.const 1)))
    (throw $thrown))

  (func (export "__resumeException") (param $object i32)
    (if (i32.eqz (global.get $last)) (then (global.set $last (local.get $object))))
    (throw $thrown))

  ;; __cxa_find_matching_catch_N, which invoke.py makes, asks $matches for one type after the other. The type that a handler is
  ;; for goes where getTempRet0 finds it.
  (func $matches (export ".matches") (param $wanted i32) (result i32) (local $type i32)
    (local.set $type (i32.load (i32.sub (global.get $last) (i32.const 20))))
    (if (i32.or (i32.eqz (local.get $wanted)) (i32.eq (local.get $wanted) (local.get $type)))
      (then (global.set $upper (local.get $type)) (return (i32.const 1))))
    (if (call $can_catch (local.get $wanted) (local.get $type) (i32.sub (global.get $last) (i32.const 8)))
      (then (global.set $upper (local.get $wanted)) (return (i32.const 1))))
    (i32.const 0))
  ;; Whether there is an object in flight, with a type: only then its handler is looked for.
  (func $flies (export ".flies") (result i32) (local $type i32)
    (if (global.get $last)
      (then
        (local.set $type (i32.load (i32.sub (global.get $last) (i32.const 20))))
        (i32.store (i32.sub (global.get $last) (i32.const 8)) (global.get $last))))
    (global.set $upper (local.get $type))
    (i32.ne (local.get $type) (i32.const 0)))
  (func $in_flight (export ".last") (result i32) (global.get $last))
  (func (export "llvm_eh_typeid_for") (param $type i32) (result i32) (local.get $type))

  ;; What the handler gets: of a pointer its value, else the object or the part of it that was found.
  (func $handed (export "__cxa_get_exception_ptr") (param $object i32) (result i32) (local $part i32)
    (if (call $is_pointer_type (i32.load (i32.sub (local.get $object) (i32.const 20))))
      (then (return (i32.load (local.get $object)))))
    (local.set $part (i32.load (i32.sub (local.get $object) (i32.const 8))))
    (select (local.get $part) (local.get $object) (local.get $part)))

  (func $push (param $object i32) (local $entry i32)
    (local.set $entry (call $malloc (i32.const 8)))
    (i32.store (local.get $entry) (local.get $object))
    (i32.store offset=4 (local.get $entry) (global.get $caught))
    (global.set $caught (local.get $entry)))
  (func $pop (result i32) (local $entry i32) (local $object i32)
    (local.set $entry (global.get $caught))
    (local.set $object (i32.load (local.get $entry)))
    (global.set $caught (i32.load offset=4 (local.get $entry)))
    (call $free (local.get $entry))
    (local.get $object))

  (func (export "__cxa_begin_catch") (param $object i32) (result i32) (local $info i32)
    (local.set $info (i32.sub (local.get $object) (i32.const 24)))
    (if (i32.eqz (i32.load8_u offset=12 (local.get $info)))
      (then (global.set $uncaught (i32.sub (global.get $uncaught) (i32.const 1)))))
    (i32.store16 offset=12 (local.get $info) (i32.const 1))
    (call $push (local.get $object))
    (i32.store (local.get $info) (i32.add (i32.load (local.get $info)) (i32.const 1)))
    (call $handed (local.get $object)))

  ;; The last reference to it goes: unless it is thrown again, so does the object.
  (func (export "__cxa_end_catch") (local $object i32) (local $info i32) (local $references i32)
    (call $setThrew (i32.const 0) (i32.const 0))
    (local.set $object (call $pop))
    (local.set $info (i32.sub (local.get $object) (i32.const 24)))
    (local.set $references (i32.sub (i32.load (local.get $info)) (i32.const 1)))
    (i32.store (local.get $info) (local.get $references))
    (if (i32.eqz (i32.or (local.get $references) (i32.load8_u offset=13 (local.get $info))))
      (then
        (if (i32.load offset=8 (local.get $info))
          (then
            (drop (call_indirect (param i32) (result i32) (local.get $object) (i32.load offset=8 (local.get $info))))))
        (call $free_exception (local.get $object))))
    (global.set $last (i32.const 0)))

  ;; "throw;": without a handler around it the program ends, as in JavaScript.
  (func (export "__cxa_rethrow") (local $object i32) (local $info i32)
    (if (i32.eqz (global.get $caught)) (then (unreachable)))
    (local.set $object (call $pop))
    (local.set $info (i32.sub (local.get $object) (i32.const 24)))
    (if (i32.eqz (i32.load8_u offset=13 (local.get $info)))
      (then
        (call $push (local.get $object))
        (i32.store16 offset=12 (local.get $info) (i32.const 0x100))
        (global.set $uncaught (i32.add (global.get $uncaught) (i32.const 1)))))
    (global.set $last (local.get $object))
    (throw $thrown))

  (func (export "__cxa_uncaught_exceptions") (result i32) (global.get $uncaught))
)
