/* A calculator for big integers in postfix notation, like dc: numbers of any length on a stack; + - * / % ^ compute,
 * p prints, d duplicates, r swaps, ! takes the factorial, g the greatest common divisor. */

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sign and magnitude; limbs of 32 bits, least significant first, no leading zero limbs; zero has no limbs. */
typedef struct {
    bool negative;
    int size, capacity;
    uint32_t *limbs;
} Big;

static void *check(void *p)
{
    if (!p) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return p;
}

static Big *big_new(int capacity)
{
    Big *b = check(calloc(1, sizeof *b));
    b->capacity = capacity > 0 ? capacity : 1;
    b->limbs = check(calloc(b->capacity, sizeof *b->limbs));
    return b;
}

static void big_free(Big *b)
{
    free(b->limbs);
    free(b);
}

static Big *big_copy(const Big *a)
{
    Big *b = big_new(a->size);
    b->negative = a->negative;
    b->size = a->size;
    memcpy(b->limbs, a->limbs, a->size * sizeof *a->limbs);
    return b;
}

static Big *big_from(uint32_t value)
{
    Big *b = big_new(1);
    b->limbs[0] = value;
    b->size = value != 0;
    return b;
}

static void normalise(Big *b)
{
    while (b->size > 0 && b->limbs[b->size - 1] == 0)
        b->size--;
    if (b->size == 0)
        b->negative = false;
}

static int compare_magnitude(const Big *a, const Big *b)
{
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    for (int i = a->size - 1; i >= 0; i--)
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    return 0;
}

static Big *add_magnitude(const Big *a, const Big *b)
{
    int size = a->size > b->size ? a->size : b->size;
    Big *sum = big_new(size + 1);
    uint64_t carry = 0;
    for (int i = 0; i < size; i++) {
        carry += i < a->size ? a->limbs[i] : 0;
        carry += i < b->size ? b->limbs[i] : 0;
        sum->limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    sum->limbs[size] = (uint32_t)carry;
    sum->size = size + 1;
    normalise(sum);
    return sum;
}

/* a - b for |a| >= |b| */
static Big *subtract_magnitude(const Big *a, const Big *b)
{
    Big *difference = big_new(a->size);
    int64_t borrow = 0;
    for (int i = 0; i < a->size; i++) {
        int64_t d = (int64_t)a->limbs[i] - (i < b->size ? b->limbs[i] : 0) + borrow;
        difference->limbs[i] = (uint32_t)d;
        borrow = d >> 32;
    }
    difference->size = a->size;
    normalise(difference);
    return difference;
}

static Big *add_signed(const Big *a, const Big *b, bool negate_b)
{
    bool b_negative = b->negative != negate_b;
    Big *result;
    if (a->negative == b_negative) {
        result = add_magnitude(a, b);
        result->negative = a->negative;
    } else if (compare_magnitude(a, b) >= 0) {
        result = subtract_magnitude(a, b);
        result->negative = a->negative;
    } else {
        result = subtract_magnitude(b, a);
        result->negative = b_negative;
    }
    normalise(result);
    return result;
}

static Big *add(const Big *a, const Big *b)
{
    return add_signed(a, b, false);
}

static Big *subtract(const Big *a, const Big *b)
{
    return add_signed(a, b, true);
}

static Big *multiply(const Big *a, const Big *b)
{
    Big *product = big_new(a->size + b->size);
    for (int i = 0; i < a->size; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < b->size; j++) {
            carry += (uint64_t)a->limbs[i] * b->limbs[j] + product->limbs[i + j];
            product->limbs[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        product->limbs[i + b->size] = (uint32_t)carry;
    }
    product->size = a->size + b->size;
    product->negative = a->negative != b->negative;
    normalise(product);
    return product;
}

/* Divides in place by a small number, returns the remainder. */
static uint32_t divide_small(Big *a, uint32_t divisor)
{
    uint64_t rest = 0;
    for (int i = a->size - 1; i >= 0; i--) {
        rest = rest << 32 | a->limbs[i];
        a->limbs[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    normalise(a);
    return (uint32_t)rest;
}

/* Knuth's algorithm D. Quotient towards zero; the remainder has the sign of a. */
static Big *divide(const Big *a, const Big *b, Big **remainder)
{
    Big *quotient, *rest = big_copy(a);
    rest->negative = false;
    if (compare_magnitude(a, b) < 0) {
        quotient = big_new(1);
    } else if (b->size == 1) {
        uint32_t r = divide_small(rest, b->limbs[0]);
        quotient = rest;
        rest = big_from(r);
    } else {
        int shift = __builtin_clz(b->limbs[b->size - 1]), n = b->size, m = a->size - n;
        uint32_t *u = check(calloc(a->size + 1, sizeof *u)), *v = check(calloc(n, sizeof *v));
        for (int i = 0; i < n; i++)
            v[i] = (uint32_t)(((uint64_t)b->limbs[i] << 32 | (i ? b->limbs[i - 1] : 0)) << shift >> 32);
        for (int i = 0; i <= a->size; i++) {
            uint64_t high = i < a->size ? a->limbs[i] : 0, low = i ? a->limbs[i - 1] : 0;
            u[i] = (uint32_t)((high << 32 | low) << shift >> 32);
        }
        quotient = big_new(m + 1);
        quotient->size = m + 1;
        for (int j = m; j >= 0; j--) {
            uint64_t top = (uint64_t)u[j + n] << 32 | u[j + n - 1];
            uint64_t guess = top / v[n - 1], left = top % v[n - 1];
            while (guess >> 32 || guess * v[n - 2] > (left << 32 | u[j + n - 2])) {
                guess--;
                left += v[n - 1];
                if (left >> 32)
                    break;
            }
            int64_t borrow = 0, t;
            uint64_t carry = 0;
            for (int i = 0; i < n; i++) {
                carry += guess * v[i];
                t = (int64_t)u[i + j] - (uint32_t)carry + borrow;
                u[i + j] = (uint32_t)t;
                borrow = t >> 32;
                carry >>= 32;
            }
            t = (int64_t)u[j + n] - (int64_t)carry + borrow;
            u[j + n] = (uint32_t)t;
            if (t < 0) {  /* the guess was one too large: add the divisor back */
                guess--;
                carry = 0;
                for (int i = 0; i < n; i++) {
                    carry += (uint64_t)u[i + j] + v[i];
                    u[i + j] = (uint32_t)carry;
                    carry >>= 32;
                }
                u[j + n] += (uint32_t)carry;
            }
            quotient->limbs[j] = (uint32_t)guess;
        }
        for (int i = 0; i < n; i++)
            rest->limbs[i] = (uint32_t)(((uint64_t)u[i + 1] << 32 | u[i]) >> shift);
        rest->size = n;
        free(u);
        free(v);
    }
    quotient->negative = a->negative != b->negative;
    rest->negative = a->negative;
    normalise(quotient);
    normalise(rest);
    *remainder = rest;
    return quotient;
}

static Big *power(const Big *base, uint32_t exponent)
{
    Big *result = big_from(1), *square = big_copy(base);
    while (exponent) {
        Big *next;
        if (exponent & 1) {
            next = multiply(result, square);
            big_free(result);
            result = next;
        }
        exponent >>= 1;
        if (exponent) {
            next = multiply(square, square);
            big_free(square);
            square = next;
        }
    }
    big_free(square);
    return result;
}

static Big *factorial(uint32_t n)
{
    Big *result = big_from(1);
    for (uint32_t i = 2; i <= n; i++) {
        Big *factor = big_from(i), *next = multiply(result, factor);
        big_free(factor);
        big_free(result);
        result = next;
    }
    return result;
}

static Big *gcd(const Big *a, const Big *b)
{
    Big *x = big_copy(a), *y = big_copy(b);
    while (y->size) {
        Big *rest, *quotient = divide(x, y, &rest);
        big_free(quotient);
        big_free(x);
        x = y;
        y = rest;
    }
    big_free(y);
    x->negative = false;
    return x;
}

static Big *parse(const char *digits, int length)
{
    Big *b = big_new(length / 9 + 1);
    for (int i = 0; i < length; i++) {
        uint64_t carry = digits[i] - '0';
        for (int j = 0; j < b->size; j++) {
            carry += (uint64_t)b->limbs[j] * 10;
            b->limbs[j] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry)
            b->limbs[b->size++] = (uint32_t)carry;
    }
    return b;
}

static void print(const Big *a)
{
    Big *rest = big_copy(a);
    uint32_t *groups = check(calloc(a->size * 2 + 1, sizeof *groups));
    int count = 0;
    do
        groups[count++] = divide_small(rest, 1000000000);
    while (rest->size);
    printf("%s%u", a->negative ? "-" : "", groups[--count]);
    while (count > 0)
        printf("%09u", groups[--count]);
    printf("\n");
    free(groups);
    big_free(rest);
}

/* the stack */

#define MAX_STACK 20
static Big *stack[MAX_STACK];
static int depth;

static void push(Big *b)
{
    if (depth == MAX_STACK) {
        puts("stack full");
        exit(2);
    }
    stack[depth++] = b;
}

static Big *pop(void)
{
    if (depth == 0) {
        puts("stack empty");
        exit(2);
    }
    return stack[--depth];
}

static void binary(char op)
{
    Big *b = pop(), *a = pop(), *result = NULL, *rest;
    switch (op) {
    case '+': result = add(a, b); break;
    case '-': result = subtract(a, b); break;
    case '*': result = multiply(a, b); break;
    case '^': result = power(a, b->size ? b->limbs[0] : 0); break;
    case 'g': result = gcd(a, b); break;
    case 'r':
        push(big_copy(b));
        result = big_copy(a);
        break;
    case '/':
    case '%':
        if (b->size == 0) {
            puts("division by zero");
            exit(2);
        }
        result = divide(a, b, &rest);
        if (op == '%') {
            Big *swap = result;
            result = rest;
            rest = swap;
        }
        big_free(rest);
        break;
    }
    push(result);
    big_free(a);
    big_free(b);
}

static void execute(const char *p)
{
    while (*p) {
        if (isdigit((unsigned char)*p)) {
            int length = 0;
            while (isdigit((unsigned char)p[length]))
                length++;
            push(parse(p, length));
            p += length;
            continue;
        }
        char op = *p++;
        if (isspace((unsigned char)op)) {
            continue;
        } else if (strchr("+-*/%^gr", op)) {
            binary(op);
        } else if (op == '!') {
            Big *n = pop();
            push(factorial(n->size ? n->limbs[0] : 0));
            big_free(n);
        } else if (op == '_') {
            Big *n = pop();
            n->negative = n->size && !n->negative;
            push(n);
        } else if (op == 'd') {
            Big *n = pop();
            push(n);
            push(big_copy(n));
        } else if (op == 'p') {
            Big *n = pop();
            print(n);
            push(n);
        } else {
            printf("what is '%c'?\n", op);
        }
    }
}

int main(void)
{
    char line[200];
    while (fgets(line, sizeof line, stdin))
        execute(line);
    while (depth > 0)
        big_free(pop());
    return 0;
}
