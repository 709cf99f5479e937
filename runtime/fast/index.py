"""The index of a keyed store, as LLVM IR: integer key -> entry, in lazily allocated pages, with nearest-key search.

A directory of PAGES words covers keys [-KEY_LIMIT, KEY_LIMIT). A page is a bit per key (64 words and a summary word)
followed by PAGE_KEYS entries; an entry begins with the position (32 bits) at which it was last written, 0 when never. A word of
the directory is the distance of a page from one page of zeros that all stores share: 0, as fresh memory is, for pages not yet
written, so that what no key has touched takes no memory. `present` has a bit per page, in words of 64 and a summary of those.

A wide index, for keys in [-EXACT_LIMIT, EXACT_LIMIT) of an exact store, has a longer directory; nothing is searched in it.

The store's fields in the state, 8 bytes each, are FIELDS; "found" is the key that the latest search came to,
"latest" is 0 when two equally near keys are unexpected.
"""

from __future__ import annotations

from .interface import BUDGET, EXHAUSTED, KEY_LIMIT, UNEXPECTED
from .nearest import NEAREST

PAGE_BITS = 12
PAGE_KEYS = 1 << PAGE_BITS
PAGES = 2 * KEY_LIMIT >> PAGE_BITS
PRESENT_WORDS = PAGES // 64
PRESENT_SUMMARIES = PRESENT_WORDS // 64
# 64 words, one summary, and what calloc has returned (pages begin at cache lines); rounded up to a cache line.
PAGE_RAW = 65
PAGE_HEADER = 576
FIELDS = ("directory", "present", "empty", "stride", "calloc", "found", "latest")
FOUND = FIELDS.index("found")
NONE = -(2**63)


def page_size(stride: int) -> int:
    return PAGE_HEADER + PAGE_KEYS * stride


def pages(limit: int) -> int:
    """Pages of an index for keys in [-limit, limit)."""
    return 2 * limit >> PAGE_BITS


_TEMPLATE = """
; The entry of a key that may not be present yet; creates its page, sets its bits. When memory or the budget is exhausted: the
; scratch entry, and the status (the state's first field) says so.
define private ptr @create(ptr %store, i64 %key, ptr %scratch, ptr %status) noinline cold {
  %empty.p = getelementptr i64, ptr %store, i64 2
  %stride.p = getelementptr i64, ptr %store, i64 3
  %calloc.p = getelementptr i64, ptr %store, i64 4
  %directory = load ptr, ptr %store
  %empty = load ptr, ptr %empty.p
  %stride = load i64, ptr %stride.p
  %off = add i64 %key, KEY_LIMIT
  %p = lshr i64 %off, PAGE_BITS
  %r = and i64 %off, PAGE_MASK
  %slot = getelementptr i64, ptr %directory, i64 %p
  %distance.old = load i64, ptr %slot
  %page.old = getelementptr i8, ptr %empty, i64 %distance.old
  %missing = icmp eq i64 %distance.old, 0
  br i1 %missing, label %allocate, label %mark
allocate:
  %calloc = load ptr, ptr %calloc.p
  %entries = mul i64 %stride, PAGE_KEYS
  %size = add i64 %entries, PAGE_SPACE
  %budget.p = getelementptr i64, ptr %status, i64 BUDGET
  %budget = load i64, ptr %budget.p
  %budget.left = sub i64 %budget, %size
  %spent = icmp slt i64 %budget.left, 0
  br i1 %spent, label %fail, label %get
get:
  store i64 %budget.left, ptr %budget.p
  %raw = call ptr %calloc(i64 1, i64 %size)
  %failed = icmp eq ptr %raw, null
  br i1 %failed, label %fail, label %install
fail:
  store i64 EXHAUSTED, ptr %status
  ret ptr %scratch
install:
  %raw.address = ptrtoint ptr %raw to i64
  %raw.beyond = add i64 %raw.address, 63
  %address.new = and i64 %raw.beyond, -64
  %page.new = inttoptr i64 %address.new to ptr
  %raw.p = getelementptr i64, ptr %page.new, i64 PAGE_RAW
  store ptr %raw, ptr %raw.p
  %address.empty = ptrtoint ptr %empty to i64
  %distance.new = sub i64 %address.new, %address.empty
  store i64 %distance.new, ptr %slot
  %present.p = getelementptr i64, ptr %store, i64 1
  %present = load ptr, ptr %present.p
  call void @set(ptr %present, i64 %p)
  %p6 = lshr i64 %p, 6
  %summaries = getelementptr i64, ptr %present, i64 PRESENT_WORDS
  call void @set(ptr %summaries, i64 %p6)
  br label %mark
mark:
  %page = phi ptr [%page.old, %0], [%page.new, %install]
  call void @set(ptr %page, i64 %r)
  %r6 = lshr i64 %r, 6
  %summary = getelementptr i64, ptr %page, i64 64
  call void @set(ptr %summary, i64 %r6)
  %o = mul i64 %r, %stride
  %o2 = add i64 %o, PAGE_HEADER
  %entry = getelementptr i8, ptr %page, i64 %o2
  ret ptr %entry
}

; The same for a wide index: without bits in the page. %off counts from the first key of its range.
define private ptr @create.wide(ptr %store, i64 %off, ptr %scratch, ptr %status) noinline cold {
  %empty.p = getelementptr i64, ptr %store, i64 2
  %stride.p = getelementptr i64, ptr %store, i64 3
  %calloc.p = getelementptr i64, ptr %store, i64 4
  %directory = load ptr, ptr %store
  %empty = load ptr, ptr %empty.p
  %stride = load i64, ptr %stride.p
  %p = lshr i64 %off, PAGE_BITS
  %r = and i64 %off, PAGE_MASK
  %slot = getelementptr i64, ptr %directory, i64 %p
  %distance.old = load i64, ptr %slot
  %missing = icmp eq i64 %distance.old, 0
  br i1 %missing, label %allocate, label %found
allocate:
  %calloc = load ptr, ptr %calloc.p
  %entries = mul i64 %stride, PAGE_KEYS
  %size = add i64 %entries, PAGE_SPACE
  %budget.p = getelementptr i64, ptr %status, i64 BUDGET
  %budget = load i64, ptr %budget.p
  %budget.left = sub i64 %budget, %size
  %spent = icmp slt i64 %budget.left, 0
  br i1 %spent, label %fail, label %get
get:
  store i64 %budget.left, ptr %budget.p
  %raw = call ptr %calloc(i64 1, i64 %size)
  %failed = icmp eq ptr %raw, null
  br i1 %failed, label %fail, label %install
fail:
  store i64 EXHAUSTED, ptr %status
  ret ptr %scratch
install:
  %raw.address = ptrtoint ptr %raw to i64
  %raw.beyond = add i64 %raw.address, 63
  %address.new = and i64 %raw.beyond, -64
  %page.new = inttoptr i64 %address.new to ptr
  %raw.p = getelementptr i64, ptr %page.new, i64 PAGE_RAW
  store ptr %raw, ptr %raw.p
  %address.empty = ptrtoint ptr %empty to i64
  %distance.new = sub i64 %address.new, %address.empty
  store i64 %distance.new, ptr %slot
  %present.p = getelementptr i64, ptr %store, i64 1
  %present = load ptr, ptr %present.p
  call void @set(ptr %present, i64 %p)
  br label %found
found:
  %distance = phi i64 [%distance.old, %0], [%distance.new, %install]
  %o = mul i64 %r, %stride
  %o2 = add i64 %o, PAGE_HEADER
  %o3 = add i64 %o2, %distance
  %entry = getelementptr i8, ptr %empty, i64 %o3
  ret ptr %entry
}

define private void @set(ptr %words, i64 %i) {
  %w = lshr i64 %i, 6
  %b = and i64 %i, 63
  %bit = shl i64 1, %b
  %p = getelementptr i64, ptr %words, i64 %w
  %old = load i64, ptr %p
  %new = or i64 %old, %bit
  store i64 %new, ptr %p
  ret void
}

"""


def support() -> str:
    """The functions @create, @nearest and what they use."""
    names = {
        "PRESENT_WORDS": PRESENT_WORDS,
        "PAGE_HEADER": PAGE_HEADER,
        "PAGE_SPACE": PAGE_HEADER + 64,
        "PAGE_RAW": PAGE_RAW,
        "PAGE_BITS": PAGE_BITS,
        "PAGE_MASK": PAGE_KEYS - 1,
        "PAGE_KEYS": PAGE_KEYS,
        "PAGES": PAGES,
        "KEY_LIMIT": KEY_LIMIT,
        "KEY_RANGE": 2 * KEY_LIMIT,
        "NONE": NONE,
        "FOUND": FIELDS.index("found"),
        "LATEST": FIELDS.index("latest"),
        "EXHAUSTED": EXHAUSTED,
        "BUDGET": BUDGET,
        "UNEXPECTED": UNEXPECTED,
        "LIMIT": KEY_LIMIT - 1,
    }
    text = _TEMPLATE + NEAREST
    for name, value in names.items():
        text = text.replace(name, str(value))
    return text
