/* The arithmetic of `hybrid`: integers of any length and f64 numbers, read from text in memory, printed as text.
 *
 * Whoever calls puts each integer as decimal digits where allocate() says and passes place and length. The result is
 * written to standard output: every character of it is a token that the transformer decodes. What is returned is 0, or
 * one of the failures below, and then nothing is written. No call reads what another one left in memory, so that its tokens
 * are the same whatever was called before. Built by build.py. */

#include <stdint.h>

enum { OK, DIVISION_BY_ZERO, TOO_LONG, NOT_EXACT, NOT_FINITE, NEGATIVE, BAD_NUMBER };

enum { BASE = 10000, DIGITS = 4, LIMBS = 2600, ARENA = 1 << 15 };

typedef struct {
    int negative, used;  /* zero: no limb, not negative */
    uint16_t limb[LIMBS];  /* least significant first, without leading zeros */
} number;

/* --- text in and out --------------------------------------------------------------------------------------------- */

static char arena[ARENA];
static unsigned allocated;

/* Room for so many bytes of an argument; 0 when there is none. */
char *allocate(unsigned size)
{
    if (size > ARENA - allocated)
        return 0;
    allocated += size;
    return arena + allocated - size;
}

struct vector {
    const char *base;
    unsigned length;
};

__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_write")))
int fd_write(int file, const struct vector *vectors, int count, unsigned *written);

static char text[LIMBS * DIGITS + 8];
static unsigned text_length;

static void put(char c)
{
    text[text_length++] = c;
}

static int print(void)
{
    static struct vector all;
    static unsigned written;
    all.base = text;
    all.length = text_length;
    fd_write(1, &all, 1, &written);
    return OK;
}

static int print_truth(int truth)
{
    for (const char *c = truth ? "true" : "false"; *c; c++)
        put(*c);
    return print();
}

static int print_number(const number *x)
{
    if (x->negative)
        put('-');
    if (!x->used)
        put('0');
    for (int i = x->used - 1, first = 1; i >= 0; i--)
        for (unsigned unit = BASE / 10, rest = x->limb[i]; unit; rest %= unit, unit /= 10)
            if (rest / unit || !first) {
                put('0' + rest / unit);
                first = 0;
            }
    return print();
}

/* --- integers ---------------------------------------------------------------------------------------------------- */

static void trim(number *x)
{
    while (x->used && !x->limb[x->used - 1])
        x->used--;
    if (!x->used)
        x->negative = 0;
}

static int read_number(number *x, const char *p, unsigned length)
{
    x->negative = length && *p == '-';
    p += x->negative;
    length -= x->negative;
    if (!length || length > LIMBS * DIGITS)
        return length ? TOO_LONG : BAD_NUMBER;
    x->used = 0;
    while (length) {
        unsigned take = length < DIGITS ? length : DIGITS, value = 0;
        for (unsigned i = length - take; i < length; i++) {
            unsigned digit = (unsigned char)p[i] - '0';
            if (digit > 9)
                return BAD_NUMBER;
            value = value * 10 + digit;
        }
        x->limb[x->used++] = value;
        length -= take;
    }
    trim(x);
    return OK;
}

static void set(number *x, uint64_t value)
{
    x->negative = x->used = 0;
    for (; value; value /= BASE)
        x->limb[x->used++] = value % BASE;
}

static void set_signed(number *x, int64_t value)
{
    set(x, value < 0 ? -(uint64_t)value : (uint64_t)value);
    x->negative = value < 0;
}

static void copy(number *to, const number *from)
{
    to->negative = from->negative;
    to->used = from->used;
    for (int i = 0; i < from->used; i++)
        to->limb[i] = from->limb[i];
}

/* The sign of |x| - |y|. */
static int compare_sizes(const number *x, const number *y)
{
    if (x->used != y->used)
        return x->used < y->used ? -1 : 1;
    for (int i = x->used - 1; i >= 0; i--)
        if (x->limb[i] != y->limb[i])
            return x->limb[i] < y->limb[i] ? -1 : 1;
    return 0;
}

static int compare(const number *x, const number *y)
{
    if (x->negative != y->negative)
        return x->negative ? -1 : 1;
    return x->negative ? compare_sizes(y, x) : compare_sizes(x, y);
}

/* |z| = |x| + |y|; z may be x or y. */
static int add_sizes(number *z, const number *x, const number *y)
{
    if (x->used < y->used) {
        const number *swap = x;
        x = y, y = swap;
    }
    unsigned carry = 0, used = x->used, i = 0;
    for (; i < (unsigned)y->used; i++) {
        carry += x->limb[i] + y->limb[i];
        z->limb[i] = carry >= BASE ? carry - BASE : carry;
        carry = carry >= BASE;
    }
    for (; i < used; i++) {
        carry += x->limb[i];
        z->limb[i] = carry >= BASE ? carry - BASE : carry;
        carry = carry >= BASE;
    }
    if (carry) {
        if (used == LIMBS)
            return TOO_LONG;
        z->limb[used++] = 1;
    }
    z->used = used;
    return OK;
}

/* |z| = |x| - |y| where |x| >= |y|; z may be x or y. */
static void subtract_sizes(number *z, const number *x, const number *y)
{
    int borrow = 0, used = x->used, i = 0;
    for (; i < y->used; i++) {
        int digit = x->limb[i] - borrow - y->limb[i];
        borrow = digit < 0;
        z->limb[i] = borrow ? digit + BASE : digit;
    }
    for (; i < used; i++) {
        int digit = x->limb[i] - borrow;
        borrow = digit < 0;
        z->limb[i] = borrow ? digit + BASE : digit;
    }
    z->used = used;
    trim(z);
}

static int add_numbers(number *z, const number *x, const number *y)
{
    if (x->negative == y->negative) {
        z->negative = x->negative;
        return add_sizes(z, x, y);
    }
    int order = compare_sizes(x, y), negative = order < 0 ? y->negative : x->negative;
    z->negative = negative;
    if (order < 0)
        subtract_sizes(z, y, x);
    else
        subtract_sizes(z, x, y);
    return OK;
}

/* z = x * y; z is neither of them. */
static int multiply(number *z, const number *x, const number *y)
{
    int used = x->used && y->used ? x->used + y->used : 0;
    if (used > LIMBS)
        return TOO_LONG;
    for (int i = 0; i < used; i++)
        z->limb[i] = 0;
    for (int i = 0; i < x->used; i++) {
        unsigned carry = 0, factor = x->limb[i];
        for (int j = 0; j < y->used; j++) {
            carry += z->limb[i + j] + factor * y->limb[j];
            z->limb[i + j] = carry % BASE;
            carry /= BASE;
        }
        z->limb[i + y->used] = carry;
    }
    z->used = used;
    z->negative = x->negative != y->negative;
    trim(z);
    return OK;
}

/* x *= factor, below 2^17. */
static int multiply_by(number *x, unsigned factor)
{
    unsigned carry = 0;
    for (int i = 0; i < x->used; i++) {
        carry += x->limb[i] * factor;
        x->limb[i] = carry % BASE;
        carry /= BASE;
    }
    for (; carry; carry /= BASE) {
        if (x->used == LIMBS)
            return TOO_LONG;
        x->limb[x->used++] = carry % BASE;
    }
    return OK;
}

static number rest, quotient, divisor;

/* quotient and rest of |x| / |y|, y not zero: long division, each digit guessed from the leading ones (Knuth, 4.3.1 D). */
static int divide(const number *x, const number *y)
{
    copy(&rest, x);
    copy(&divisor, y);
    rest.negative = divisor.negative = quotient.negative = quotient.used = 0;
    if (compare_sizes(&rest, &divisor) < 0)
        return OK;
    unsigned scale = BASE / (divisor.limb[divisor.used - 1] + 1);
    if (multiply_by(&rest, scale) || rest.used == LIMBS)  /* the divisor is no longer */
        return TOO_LONG;
    multiply_by(&divisor, scale);
    int n = divisor.used, m = rest.used - n;
    rest.limb[rest.used] = divisor.limb[n] = 0;
    unsigned top = divisor.limb[n - 1], next = 0;
    if (n > 1)
        next = divisor.limb[n - 2];
    for (int j = m; j >= 0; j--) {
        unsigned leading = rest.limb[j + n] * BASE + rest.limb[j + n - 1];
        unsigned guess = leading / top, left = leading % top;
        unsigned third = j + n > 1 ? rest.limb[j + n - 2] : 0;
        while (left < BASE && (guess >= BASE || guess * next > left * BASE + third))
            guess--, left += top;
        unsigned carry = 0;
        int borrow = 0;
        for (int i = 0; i <= n; i++) {
            carry += guess * divisor.limb[i];
            int digit = rest.limb[i + j] - (int)(carry % BASE) - borrow;
            carry /= BASE;
            borrow = digit < 0;
            rest.limb[i + j] = borrow ? digit + BASE : digit;
        }
        if (borrow) {
            guess--;
            carry = 0;
            for (int i = 0; i < n; i++) {
                carry += rest.limb[i + j] + divisor.limb[i];
                rest.limb[i + j] = carry % BASE;
                carry /= BASE;
            }
            rest.limb[j + n] = 0;
        }
        quotient.limb[j] = guess;
    }
    quotient.used = m + 1;
    trim(&quotient);
    rest.used = n;
    trim(&rest);
    unsigned carry = 0;
    for (int i = rest.used - 1; i >= 0; i--) {
        carry = carry * BASE + rest.limb[i];
        rest.limb[i] = carry / scale;
        carry %= scale;
    }
    trim(&rest);
    return OK;
}

/* --- f64 ----------------------------------------------------------------------------------------------------------*/

static int times_power_of_2(number *x, int exponent)
{
    int failure = OK;
    for (; exponent >= 13 && !failure; exponent -= 13)
        failure = multiply_by(x, 1 << 13);
    return failure ? failure : multiply_by(x, 1 << exponent);
}

/* x *= BASE */
static void shift(number *x)
{
    for (int i = x->used; i > 0; i--)
        x->limb[i] = x->limb[i - 1];
    x->limb[0] = 0;
    x->used += x->used != 0;
}

static number value, unit, above, below, total;
static char digits[20];
static int digit_count, point;

/* The shortest digits that give x back when read, 0.DIGITS * 10^point, as Steele and White generate them: x = value / unit,
 * and what lies within `above` and `below` of it rounds to x. */
static void shortest(double x)
{
    union { double number; uint64_t bits; } as = { x };
    uint64_t fraction = as.bits & 0xfffffffffffffull;
    int exponent = as.bits >> 52 & 2047;
    int boundary = !fraction && exponent > 1, even = !(fraction & 1);
    if (exponent)
        fraction |= 1ull << 52;
    else
        exponent = 1;
    exponent -= 1075;
    set(&value, fraction);
    set(&unit, 1);
    set(&above, 1);
    set(&below, 1);
    times_power_of_2(exponent >= 0 ? &value : &unit, exponent >= 0 ? exponent : -exponent);
    if (exponent >= 0) {
        times_power_of_2(&above, exponent);
        times_power_of_2(&below, exponent);
    }
    multiply_by(&value, boundary ? 4 : 2);
    multiply_by(&unit, boundary ? 4 : 2);
    multiply_by(&above, boundary ? 2 : 1);
    point = 0;
    while (value.used > unit.used + 1)
        shift(&unit), point += DIGITS;
    while (value.used + 1 < unit.used)
        shift(&value), shift(&above), shift(&below), point -= DIGITS;
    for (;;) {
        add_sizes(&total, &value, &above);
        int order = compare_sizes(&total, &unit);
        if (order < 0 || (order == 0 && !even))
            break;
        multiply_by(&unit, 10), point++;
    }
    for (;;) {
        add_sizes(&total, &value, &above);
        multiply_by(&total, 10);
        int order = compare_sizes(&total, &unit);
        if (order > 0 || (order == 0 && even))
            break;
        multiply_by(&value, 10), multiply_by(&above, 10), multiply_by(&below, 10), point--;
    }
    digit_count = 0;
    for (;;) {
        int digit = 0;
        multiply_by(&value, 10), multiply_by(&above, 10), multiply_by(&below, 10);
        for (; compare_sizes(&value, &unit) >= 0; digit++)
            subtract_sizes(&value, &value, &unit);
        int low = compare_sizes(&value, &below), high;
        add_sizes(&total, &value, &above);
        high = compare_sizes(&total, &unit);
        int low_ends = low < 0 || (low == 0 && even), high_ends = high > 0 || (high == 0 && even);
        if (low_ends || high_ends) {
            if (high_ends) {
                add_sizes(&total, &value, &value);
                int half = compare_sizes(&total, &unit);
                digit += !low_ends || half > 0 || (half == 0 && (digit & 1));
            }
            digits[digit_count++] = '0' + digit;
            return;
        }
        digits[digit_count++] = '0' + digit;
    }
}

/* As Python writes it: 0.5, 4.0, 1e+16, 1.5e-07. */
static int print_f64(double x)
{
    if (x != x || x - x != 0)
        return NOT_FINITE;
    if (x < 0 || (x == 0 && 1 / x < 0))
        put('-'), x = -x;
    if (x == 0)
        digit_count = 1, digits[0] = '0', point = 1;
    else
        shortest(x);
    if (-4 < point && point <= 16) {
        if (point <= 0) {
            put('0'), put('.');
            for (int i = point; i < 0; i++)
                put('0');
        }
        int whole = point >= digit_count;
        while (digit_count < point)
            digits[digit_count++] = '0';
        for (int i = 0; i < digit_count; i++) {
            if (i && i == point)
                put('.');
            put(digits[i]);
        }
        if (whole)
            put('.'), put('0');
        return print();
    }
    put(digits[0]);
    if (digit_count > 1)
        put('.');
    for (int i = 1; i < digit_count; i++)
        put(digits[i]);
    int exponent = point - 1;
    put('e'), put(exponent < 0 ? '-' : '+');
    if (exponent < 0)
        exponent = -exponent;
    if (exponent >= 100)
        put('0' + exponent / 100);
    put('0' + exponent / 10 % 10), put('0' + exponent % 10);
    return print();
}

/* --- the exports ------------------------------------------------------------------------------------------------- */

static number a, b, c;

/* Every scalar as it is at first: the compiler may read one before it is known that it is needed. */
static void __attribute__((noinline)) begin(void)
{
    number *const all[] = { &a, &b, &c, &rest, &quotient, &divisor, &value, &unit, &above, &below, &total };
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        all[i]->used = all[i]->negative = 0;
    allocated = text_length = digit_count = point = 0;
}

static int read_both(const char *p, unsigned np, const char *q, unsigned nq)
{
    int failure = read_number(&a, p, np);
    return failure ? failure : read_number(&b, q, nq);
}

#define INTEGERS(name) int name(const char *p, unsigned np, const char *q, unsigned nq)
#define READ_BOTH begin(); int failure = read_both(p, np, q, nq); if (failure) return failure

INTEGERS(add)
{
    READ_BOTH;
    failure = add_numbers(&c, &a, &b);
    return failure ? failure : print_number(&c);
}

INTEGERS(sub)
{
    READ_BOTH;
    if (b.used)
        b.negative = !b.negative;
    failure = add_numbers(&c, &a, &b);
    return failure ? failure : print_number(&c);
}

INTEGERS(mul)
{
    READ_BOTH;
    failure = multiply(&c, &a, &b);
    return failure ? failure : print_number(&c);
}

/* |x| where it is at most 2^53, else -1. */
static int64_t small(const number *x)
{
    int64_t sum = 0;
    if (x->used > 4)
        return -1;
    for (int i = x->used - 1; i >= 0; i--)
        sum = sum * BASE + x->limb[i];
    return sum <= 1ll << 53 ? sum : -1;
}

/* The quotient: an integer where it is one, else the nearest f64 of numbers that are exact as f64. */
INTEGERS(div)
{
    READ_BOTH;
    if (!b.used)
        return DIVISION_BY_ZERO;
    failure = divide(&a, &b);
    if (failure)
        return failure;
    int negative = a.negative != b.negative;
    if (!rest.used) {
        quotient.negative = quotient.used && negative;
        return print_number(&quotient);
    }
    int64_t x = small(&a), y = small(&b);
    if (x < 0 || y < 0)
        return NOT_EXACT;
    return print_f64((negative ? -(double)x : (double)x) / (double)y);
}

/* Whole quotient and remainder of numbers that are not negative: for others languages disagree. */
INTEGERS(quotient_of)
{
    READ_BOTH;
    if (!b.used)
        return DIVISION_BY_ZERO;
    if (a.negative || b.negative)
        return NEGATIVE;
    failure = divide(&a, &b);
    return failure ? failure : print_number(&quotient);
}

INTEGERS(remainder_of)
{
    READ_BOTH;
    if (!b.used)
        return DIVISION_BY_ZERO;
    if (a.negative || b.negative)
        return NEGATIVE;
    failure = divide(&a, &b);
    return failure ? failure : print_number(&rest);
}

INTEGERS(lt) { READ_BOTH; return print_truth(compare(&a, &b) < 0); }
INTEGERS(le) { READ_BOTH; return print_truth(compare(&a, &b) <= 0); }
INTEGERS(gt) { READ_BOTH; return print_truth(compare(&a, &b) > 0); }
INTEGERS(ge) { READ_BOTH; return print_truth(compare(&a, &b) >= 0); }
INTEGERS(eq) { READ_BOTH; return print_truth(compare(&a, &b) == 0); }
INTEGERS(ne) { READ_BOTH; return print_truth(compare(&a, &b) != 0); }

/* base^exponent by repeated squaring. */
int power(const char *p, unsigned np, int64_t exponent)
{
    begin();
    int failure = read_number(&a, p, np);
    if (failure)
        return failure;
    if (exponent < 0)
        return NEGATIVE;
    set(&b, 1);
    while (!failure && exponent) {
        if (exponent & 1) {
            failure = multiply(&c, &b, &a);
            copy(&b, &c);
        }
        exponent >>= 1;
        if (!failure && exponent) {
            failure = multiply(&c, &a, &a);
            copy(&a, &c);
        }
    }
    return failure ? failure : print_number(&b);
}

/* from + (from + 1) + ... + to, one addition after the other. */
int sum(int64_t from, int64_t to)
{
    begin();
    if (from < -(1ll << 62) || to > 1ll << 62)
        return TOO_LONG;
    /* So many numbers below 2^40 add up to less than 2^63. */
    int64_t most = -(1ll << 40) < from && to < 1ll << 40 ? 1 << 22 : 1;
    int failure = OK;
    set(&a, 0);
    while (from <= to && !failure) {
        int64_t part = 0, left = to - from < most - 1 ? to - from + 1 : most;
        for (; left; left--) {
            part += from++;
            __asm__ volatile("" : "+r"(part));  /* or the compiler would multiply instead */
        }
        set_signed(&b, part);
        failure = add_numbers(&a, &a, &b);
    }
    return failure ? failure : print_number(&a);
}

static int product_of(int64_t from, int64_t to)
{
    begin();
    int failure = from < -(1ll << 62) || to > 1ll << 62 ? TOO_LONG : OK;
    set(&a, 1);
    for (; from <= to && !failure; from++) {
        int small_factor = 0 < from && from < BASE;
        if (small_factor) {
            failure = multiply_by(&a, from);
            continue;
        }
        set_signed(&b, from);
        failure = multiply(&c, &a, &b);
        copy(&a, &c);
        if (!from)
            break;
    }
    return failure ? failure : print_number(&a);
}

int product(int64_t from, int64_t to)
{
    return product_of(from, to);
}

int factorial(int64_t n)
{
    return n < 0 ? NEGATIVE : product_of(1, n);
}

/* fib(0) = 0, fib(1) = 1. */
int fib(int64_t n)
{
    begin();
    int failure = OK;
    if (n < 0)
        return NEGATIVE;
    set(&a, 0);
    set(&b, 1);
    for (; n && !failure; n--) {
        failure = add_sizes(&c, &a, &b);
        copy(&a, &b);
        copy(&b, &c);
    }
    return failure ? failure : print_number(&a);
}

int add_f64(double x, double y) { begin(); return print_f64(x + y); }
int sub_f64(double x, double y) { begin(); return print_f64(x - y); }
int mul_f64(double x, double y) { begin(); return print_f64(x * y); }
int div_f64(double x, double y) { begin(); return y == 0 ? DIVISION_BY_ZERO : print_f64(x / y); }
int lt_f64(double x, double y) { begin(); return print_truth(x < y); }
int le_f64(double x, double y) { begin(); return print_truth(x <= y); }
int gt_f64(double x, double y) { begin(); return print_truth(x > y); }
int ge_f64(double x, double y) { begin(); return print_truth(x >= y); }
int eq_f64(double x, double y) { begin(); return print_truth(x == y); }
int ne_f64(double x, double y) { begin(); return print_truth(x != y); }
