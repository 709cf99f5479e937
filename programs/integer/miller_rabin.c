/* The Miller-Rabin primality test, exact for all 32-bit numbers with the bases 2, 7 and 61. */

#include <stdint.h>

static uint64_t power_mod(uint64_t base, uint32_t exponent, uint32_t n)
{
    uint64_t result = 1;
    for (; exponent; exponent >>= 1) {
        if (exponent & 1)
            result = result * base % n;
        base = base * base % n;
    }
    return result;
}

static int passes(uint32_t n, uint32_t base)
{
    int twos = __builtin_ctz(n - 1);
    uint64_t x = power_mod(base % n, (n - 1) >> twos, n);
    if (base % n == 0 || x == 1 || x == n - 1)
        return 1;
    while (--twos > 0) {
        x = x * x % n;
        if (x == n - 1)
            return 1;
    }
    return 0;
}

int is_prime(uint32_t n)
{
    if (n < 2 || n % 2 == 0)
        return n == 2;
    return passes(n, 2) && passes(n, 7) && passes(n, 61);
}

/* The first prime after n, as a 64-bit number, since it may lie above 2^31. */
int64_t next_prime(uint32_t n)
{
    do
        n++;
    while (!is_prime(n));
    return n;
}
