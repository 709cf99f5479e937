/* n! exactly, as a big number in base 10^9: n up to 450 or so fits. */

#include <stdint.h>

enum { MAX_LIMBS = 112, BASE = 1000000000 };
static uint32_t limbs[MAX_LIMBS];  /* least significant first */
static int used;

static void multiply(uint32_t factor)
{
    uint64_t carry = 0;
    for (int i = 0; i < used; i++) {
        carry += (uint64_t)limbs[i] * factor;
        limbs[i] = carry % BASE;
        carry /= BASE;
    }
    if (carry)
        limbs[used++] = carry;
}

/* Computes n!; returns the number of its decimal digits. */
int factorial(int n)
{
    limbs[0] = 1;
    used = 1;
    for (int i = 2; i <= n; i++)
        multiply(i);
    int digits = 9 * (used - 1);
    for (uint32_t top = limbs[used - 1]; top; top /= 10)
        digits++;
    return digits;
}

/* After factorial(): nine decimal digits as a number, group 0 the last nine. */
int nine_digits(int group)
{
    return group < used ? limbs[group] : 0;
}

int digit_sum(void)
{
    int sum = 0;
    for (int i = 0; i < used; i++)
        for (uint32_t limb = limbs[i]; limb; limb /= 10)
            sum += limb % 10;
    return sum;
}

/* n! modulo 2^61 - 1, from the decimal groups: a check on all of them. */
int64_t residue(void)
{
    const uint64_t modulus = ((uint64_t)1 << 61) - 1;
    uint64_t value = 0;
    for (int i = used - 1; i >= 0; i--) {
        /* value * 10^9 in two halves, since the product has 91 bits: 2^61 = 1 (mod 2^61 - 1) */
        uint64_t low = (value & 0x7fffffff) * BASE;
        uint64_t high = (value >> 31) * BASE;  /* times 2^31 */
        uint64_t folded = low + ((high & 0x3fffffff) << 31) + (high >> 30);
        value = (folded % modulus + limbs[i]) % modulus;
    }
    return value;
}
