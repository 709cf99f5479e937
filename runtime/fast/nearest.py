"""The search for the nearest key of a keyed store, as LLVM IR over its bits (see index.py), which puts numbers for the names."""

NEAREST = """
; The highest set bit at or below %i in one word, else -1 (%i may be -1).
define private i64 @word_below(i64 %word, i64 %i) {
  %none = icmp slt i64 %i, 0
  %up = sub i64 63, %i
  %up.safe = select i1 %none, i64 63, i64 %up
  %mask = lshr i64 -1, %up.safe
  %m0 = and i64 %word, %mask
  %m = select i1 %none, i64 0, i64 %m0
  %lz = call i64 @llvm.ctlz.i64(i64 %m, i1 false)
  %r = sub i64 63, %lz
  ret i64 %r
}

; The lowest set bit at or above %i in one word, else 64 (%i may be 64).
define private i64 @word_above(i64 %word, i64 %i) {
  %none = icmp sgt i64 %i, 63
  %i.safe = select i1 %none, i64 63, i64 %i
  %mask = shl i64 -1, %i.safe
  %m0 = and i64 %word, %mask
  %m = select i1 %none, i64 0, i64 %m0
  %tz = call i64 @llvm.cttz.i64(i64 %m, i1 false)
  ret i64 %tz
}

; The highest set bit at or below %i among 64 words with a summary word, else -1 (%i may be -1).
define private i64 @block_below(ptr %words, ptr %summary.p, i64 %i) {
  %none = icmp slt i64 %i, 0
  br i1 %none, label %fail, label %own
own:
  %w = lshr i64 %i, 6
  %b = and i64 %i, 63
  %p = getelementptr i64, ptr %words, i64 %w
  %word = load i64, ptr %p
  %hit = call i64 @word_below(i64 %word, i64 %b)
  %found = icmp sge i64 %hit, 0
  br i1 %found, label %here, label %other
here:
  %base = and i64 %i, -64
  %r = add i64 %base, %hit
  ret i64 %r
other:
  %summary = load i64, ptr %summary.p
  %w1 = sub i64 %w, 1
  %v = call i64 @word_below(i64 %summary, i64 %w1)
  %any = icmp sge i64 %v, 0
  br i1 %any, label %there, label %fail
there:
  %q = getelementptr i64, ptr %words, i64 %v
  %word2 = load i64, ptr %q
  %hit2 = call i64 @word_below(i64 %word2, i64 63)
  %base2 = shl i64 %v, 6
  %r2 = add i64 %base2, %hit2
  ret i64 %r2
fail:
  ret i64 -1
}

; The lowest set bit at or above %i among 64 words with a summary word, else 4096 (%i may be 4096).
define private i64 @block_above(ptr %words, ptr %summary.p, i64 %i) {
  %none = icmp sgt i64 %i, 4095
  br i1 %none, label %fail, label %own
own:
  %w = lshr i64 %i, 6
  %b = and i64 %i, 63
  %p = getelementptr i64, ptr %words, i64 %w
  %word = load i64, ptr %p
  %hit = call i64 @word_above(i64 %word, i64 %b)
  %found = icmp slt i64 %hit, 64
  br i1 %found, label %here, label %other
here:
  %base = and i64 %i, -64
  %r = add i64 %base, %hit
  ret i64 %r
other:
  %summary = load i64, ptr %summary.p
  %w1 = add i64 %w, 1
  %v = call i64 @word_above(i64 %summary, i64 %w1)
  %any = icmp slt i64 %v, 64
  br i1 %any, label %there, label %fail
there:
  %q = getelementptr i64, ptr %words, i64 %v
  %word2 = load i64, ptr %q
  %hit2 = call i64 @word_above(i64 %word2, i64 0)
  %base2 = shl i64 %v, 6
  %r2 = add i64 %base2, %hit2
  ret i64 %r2
fail:
  ret i64 4096
}

; The largest present key offset <= %off, else -1.
define private i64 @below(ptr %store, i64 %off) noinline {
  %directory = load ptr, ptr %store
  %present.p = getelementptr i64, ptr %store, i64 1
  %present = load ptr, ptr %present.p
  %negative = icmp slt i64 %off, 0
  br i1 %negative, label %fail, label %own
own:
  %p = lshr i64 %off, PAGE_BITS
  %r = and i64 %off, PAGE_MASK
  %slot = getelementptr i64, ptr %directory, i64 %p
  %page = call ptr @page(ptr %store, ptr %slot)
  %summary = getelementptr i64, ptr %page, i64 64
  %hit = call i64 @block_below(ptr %page, ptr %summary, i64 %r)
  %found = icmp sge i64 %hit, 0
  br i1 %found, label %done, label %pages
pages:
  %p1 = sub i64 %p, 1
  br label %group
group:
  ; groups of 4096 pages, each with 64 words of `present` and one summary word
  %at = phi i64 [%p1, %pages], [%before, %next]
  %none = icmp slt i64 %at, 0
  br i1 %none, label %fail, label %search
search:
  %g = lshr i64 %at, 12
  %i = and i64 %at, 4095
  %gw = shl i64 %g, 6
  %words = getelementptr i64, ptr %present, i64 %gw
  %sw = add i64 %g, PRESENT_WORDS
  %sp = getelementptr i64, ptr %present, i64 %sw
  %q = call i64 @block_below(ptr %words, ptr %sp, i64 %i)
  %in = icmp sge i64 %q, 0
  br i1 %in, label %there, label %next
next:
  %gbase = shl i64 %g, 12
  %before = sub i64 %gbase, 1
  br label %group
there:
  %gb = shl i64 %g, 12
  %page2.i = add i64 %gb, %q
  %slot2 = getelementptr i64, ptr %directory, i64 %page2.i
  %page2 = call ptr @page(ptr %store, ptr %slot2)
  %summary2 = getelementptr i64, ptr %page2, i64 64
  %hit2 = call i64 @block_below(ptr %page2, ptr %summary2, i64 PAGE_MASK)
  br label %done
done:
  %page.i = phi i64 [%p, %own], [%page2.i, %there]
  %bit = phi i64 [%hit, %own], [%hit2, %there]
  %base = shl i64 %page.i, PAGE_BITS
  %result = add i64 %base, %bit
  ret i64 %result
fail:
  ret i64 -1
}

; The smallest present key offset >= %off, else 2 * KEY_LIMIT.
define private i64 @above(ptr %store, i64 %off) noinline {
  %directory = load ptr, ptr %store
  %present.p = getelementptr i64, ptr %store, i64 1
  %present = load ptr, ptr %present.p
  %past = icmp sge i64 %off, KEY_RANGE
  br i1 %past, label %fail, label %own
own:
  %p = lshr i64 %off, PAGE_BITS
  %r = and i64 %off, PAGE_MASK
  %slot = getelementptr i64, ptr %directory, i64 %p
  %page = call ptr @page(ptr %store, ptr %slot)
  %summary = getelementptr i64, ptr %page, i64 64
  %hit = call i64 @block_above(ptr %page, ptr %summary, i64 %r)
  %found = icmp slt i64 %hit, PAGE_KEYS
  br i1 %found, label %done, label %pages
pages:
  %p1 = add i64 %p, 1
  br label %group
group:
  %at = phi i64 [%p1, %pages], [%after, %next]
  %none = icmp sge i64 %at, PAGES
  br i1 %none, label %fail, label %search
search:
  %g = lshr i64 %at, 12
  %i = and i64 %at, 4095
  %gw = shl i64 %g, 6
  %words = getelementptr i64, ptr %present, i64 %gw
  %sw = add i64 %g, PRESENT_WORDS
  %sp = getelementptr i64, ptr %present, i64 %sw
  %q = call i64 @block_above(ptr %words, ptr %sp, i64 %i)
  %in = icmp slt i64 %q, 4096
  br i1 %in, label %there, label %next
next:
  %g1 = add i64 %g, 1
  %after = shl i64 %g1, 12
  br label %group
there:
  %gb = shl i64 %g, 12
  %page2.i = add i64 %gb, %q
  %slot2 = getelementptr i64, ptr %directory, i64 %page2.i
  %page2 = call ptr @page(ptr %store, ptr %slot2)
  %summary2 = getelementptr i64, ptr %page2, i64 64
  %hit2 = call i64 @block_above(ptr %page2, ptr %summary2, i64 0)
  br label %done
done:
  %page.i = phi i64 [%p, %own], [%page2.i, %there]
  %bit = phi i64 [%hit, %own], [%hit2, %there]
  %base = shl i64 %page.i, PAGE_BITS
  %result = add i64 %base, %bit
  ret i64 %result
fail:
  ret i64 KEY_RANGE
}

; The page that a slot of the directory stands for.
define private ptr @page(ptr %store, ptr %slot) {
  %empty.p = getelementptr i64, ptr %store, i64 2
  %empty = load ptr, ptr %empty.p
  %distance = load i64, ptr %slot
  %page = getelementptr i8, ptr %empty, i64 %distance
  ret ptr %page
}

define private ptr @entry(ptr %store, i64 %off) {
  %directory = load ptr, ptr %store
  %stride.p = getelementptr i64, ptr %store, i64 3
  %stride = load i64, ptr %stride.p
  %p = lshr i64 %off, PAGE_BITS
  %r = and i64 %off, PAGE_MASK
  %slot = getelementptr i64, ptr %directory, i64 %p
  %page = call ptr @page(ptr %store, ptr %slot)
  %o = mul i64 %r, %stride
  %o2 = add i64 %o, PAGE_HEADER
  %e = getelementptr i8, ptr %page, i64 %o2
  ret ptr %e
}

; The entry of the present key nearest to %query, and the key in "found"; the zero entry and 0 when the store is empty.
define private ptr @search(ptr %store, double %query, ptr %zero, ptr %status) noinline cold {
  %low = call double @llvm.maxnum.f64(double %query, double -LIMIT.0)
  %cut = call double @llvm.minnum.f64(double %low, double LIMIT.0)
  %key = call i64 @nearest(ptr %store, double %cut, ptr %status)
  %none = icmp eq i64 %key, NONE
  %found.p = getelementptr i64, ptr %store, i64 FOUND
  br i1 %none, label %empty, label %some
empty:
  store i64 0, ptr %found.p
  ret ptr %zero
some:
  store i64 %key, ptr %found.p
  %off = add i64 %key, KEY_LIMIT
  %entry = call ptr @entry(ptr %store, i64 %off)
  ret ptr %entry
}

; The present key nearest to %query (a number within the key range); of two equally near ones the later written.
; NONE when the store is empty.
define private i64 @nearest(ptr %store, double %query, ptr %status) noinline {
  %floor = call double @llvm.floor.f64(double %query)
  %f = fptosi double %floor to i64
  %off = add i64 %f, KEY_LIMIT
  %off1 = add i64 %off, 1
  %lo = call i64 @below(ptr %store, i64 %off)
  %hi = call i64 @above(ptr %store, i64 %off1)
  %no.lo = icmp slt i64 %lo, 0
  %no.hi = icmp sge i64 %hi, KEY_RANGE
  %lo.key = sub i64 %lo, KEY_LIMIT
  %hi.key = sub i64 %hi, KEY_LIMIT
  br i1 %no.lo, label %only.hi, label %some.lo
only.hi:
  %r = select i1 %no.hi, i64 NONE, i64 %hi.key
  ret i64 %r
some.lo:
  br i1 %no.hi, label %take.lo, label %both
both:
  %lo.f = sitofp i64 %lo.key to double
  %hi.f = sitofp i64 %hi.key to double
  %d.lo = fsub double %query, %lo.f
  %d.hi = fsub double %hi.f, %query
  %lo.nearer = fcmp olt double %d.lo, %d.hi
  br i1 %lo.nearer, label %take.lo, label %maybe.hi
maybe.hi:
  %hi.nearer = fcmp olt double %d.hi, %d.lo
  br i1 %hi.nearer, label %take.hi, label %tie
tie:
  %latest.p = getelementptr i64, ptr %store, i64 LATEST
  %latest = load i64, ptr %latest.p
  %allowed = icmp ne i64 %latest, 0
  br i1 %allowed, label %compare, label %unexpected
unexpected:
  store i64 UNEXPECTED, ptr %status
  br label %compare
compare:
  %e.lo = call ptr @entry(ptr %store, i64 %lo)
  %e.hi = call ptr @entry(ptr %store, i64 %hi)
  %t.lo = load i32, ptr %e.lo, align 1
  %t.hi = load i32, ptr %e.hi, align 1
  %later = icmp ugt i32 %t.lo, %t.hi
  %r2 = select i1 %later, i64 %lo.key, i64 %hi.key
  ret i64 %r2
take.lo:
  ret i64 %lo.key
take.hi:
  ret i64 %hi.key
}

declare i64 @llvm.ctlz.i64(i64, i1)
declare i64 @llvm.cttz.i64(i64, i1)
declare double @llvm.floor.f64(double)
"""
