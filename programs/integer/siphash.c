/* SipHash-2-4 with the key 00 01 ... 0f over the messages 00, 00 01, 00 01 02, ... of its authors' test vectors. */

#include <stdint.h>

static uint64_t v0, v1, v2, v3;

static uint64_t rotate(uint64_t x, int count)
{
    return x << count | x >> (64 - count);
}

static void rounds(int count)
{
    while (count-- > 0) {
        v0 += v1, v2 += v3;
        v1 = rotate(v1, 13) ^ v0, v3 = rotate(v3, 16) ^ v2;
        v0 = rotate(v0, 32);
        v2 += v1, v0 += v3;
        v1 = rotate(v1, 17) ^ v2, v3 = rotate(v3, 21) ^ v0;
        v2 = rotate(v2, 32);
    }
}

static void absorb(uint64_t word)
{
    v3 ^= word;
    rounds(2);
    v0 ^= word;
}

/* The hash of the message 00 01 ... (length - 1). */
uint64_t siphash(int length)
{
    uint64_t key0 = 0x0706050403020100, key1 = 0x0f0e0d0c0b0a0908, word = 0;
    v0 = key0 ^ 0x736f6d6570736575;
    v1 = key1 ^ 0x646f72616e646f6d;
    v2 = key0 ^ 0x6c7967656e657261;
    v3 = key1 ^ 0x7465646279746573;
    for (int i = 0; i < length; i++) {
        word |= (uint64_t)(i & 255) << (i % 8 * 8);
        if (i % 8 == 7) {
            absorb(word);
            word = 0;
        }
    }
    absorb(word | (uint64_t)length << 56);
    v2 ^= 255;
    rounds(4);
    return v0 ^ v1 ^ v2 ^ v3;
}
