/* xxHash64: four lanes of multiply-and-rotate over 32-byte stripes, then a tail and an avalanche. */

#include <stdint.h>

#define PRIME1 0x9E3779B185EBCA87u
#define PRIME2 0xC2B2AE3D27D4EB4Fu
#define PRIME3 0x165667B19E3779F9u
#define PRIME4 0x85EBCA77C2B2AE63u
#define PRIME5 0x27D4EB2F165667C5u

static const unsigned char text[] =
    "Now is the time for all good men to come to the aid of the party; the quick brown fox has left already.";

static uint64_t rotate(uint64_t x, int count)
{
    return x << count | x >> (64 - count);
}

static uint64_t read(const unsigned char *p, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static uint64_t round(uint64_t lane, uint64_t input)
{
    return rotate(lane + input * PRIME2, 31) * PRIME1;
}

static uint64_t merge(uint64_t hash, uint64_t lane)
{
    return (hash ^ round(0, lane)) * PRIME1 + PRIME4;
}

/* The hash of the first `length` bytes of the text. */
uint64_t xxhash64(int length, uint64_t seed)
{
    const unsigned char *p = text, *end = text + length;
    uint64_t hash;
    if (length >= 32) {
        uint64_t lanes[4] = {seed + PRIME1 + PRIME2, seed + PRIME2, seed, seed - PRIME1};
        for (; end - p >= 32; p += 32)
            for (int i = 0; i < 4; i++)
                lanes[i] = round(lanes[i], read(p + 8 * i, 8));
        hash = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
        for (int i = 0; i < 4; i++)
            hash = merge(hash, lanes[i]);
    } else {
        hash = seed + PRIME5;
    }
    hash += length;
    for (; end - p >= 8; p += 8)
        hash = rotate(hash ^ round(0, read(p, 8)), 27) * PRIME1 + PRIME4;
    if (end - p >= 4) {
        hash = rotate(hash ^ read(p, 4) * PRIME1, 23) * PRIME2 + PRIME3;
        p += 4;
    }
    for (; p < end; p++)
        hash = rotate(hash ^ *p * PRIME5, 11) * PRIME1;
    hash = (hash ^ hash >> 33) * PRIME2;
    hash = (hash ^ hash >> 29) * PRIME3;
    return hash ^ hash >> 32;
}
