/* Three programs as experts of a language model: a Sudoku solver, SHA-256, and sorting. experts.toml has their signatures.
 * tools.wasm: python -m wasm2xformer.runtime.hybrid.programs.build examples/experts/tools.c */

#include <stdint.h>

static unsigned char arena[16384];

/* Room for an argument. Every call begins with a new instance, so nothing is ever freed. */
void *allocate(unsigned size)
{
    static unsigned used;
    unsigned start = used;
    if (size > sizeof arena - used)
        return 0;
    used += (size + 7) & ~7u;
    return arena + start;
}

/* --- Sudoku: 81 digits, 0 for an empty cell, solved in place ------------------------------------------------------- */

static unsigned rows[9], columns[9], boxes[9];  /* bit d: digit d is taken */

static int box_of(int cell)
{
    return cell / 27 * 3 + cell % 9 / 3;
}

static int place(int cell, int digit)
{
    unsigned bit = 1u << digit;
    if ((rows[cell / 9] | columns[cell % 9] | boxes[box_of(cell)]) & bit)
        return 0;
    rows[cell / 9] |= bit;
    columns[cell % 9] |= bit;
    boxes[box_of(cell)] |= bit;
    return 1;
}

static void lift(int cell, int digit)
{
    unsigned bit = 1u << digit;
    rows[cell / 9] ^= bit;
    columns[cell % 9] ^= bit;
    boxes[box_of(cell)] ^= bit;
}

static int fill(char *grid)
{
    int best = -1, fewest = 10;
    for (int cell = 0; cell < 81; cell++)
        if (grid[cell] == '0') {
            int count = 9 - __builtin_popcount(rows[cell / 9] | columns[cell % 9] | boxes[box_of(cell)]);
            if (count < fewest)
                fewest = count, best = cell;
        }
    if (best < 0)
        return 1;
    for (int digit = 1; digit <= 9; digit++)
        if (place(best, digit)) {
            grid[best] = '0' + digit;
            if (fill(grid))
                return 1;
            grid[best] = '0';
            lift(best, digit);
        }
    return 0;
}

/* 0; 1: not 81 digits; 2: a digit stands twice; 3: no solution. */
int sudoku(char *grid, int length)
{
    if (length != 81)
        return 1;
    for (int cell = 0; cell < 81; cell++)
        if (grid[cell] < '0' || grid[cell] > '9')
            return 1;
    for (int cell = 0; cell < 81; cell++)
        if (grid[cell] != '0' && !place(cell, grid[cell] - '0'))
            return 2;
    return fill(grid) ? 0 : 3;
}

/* --- SHA-256 (FIPS 180-4) ------------------------------------------------------------------------------------------ */

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static uint32_t state[8];
static unsigned char digest[32];

static uint32_t rotate(uint32_t x, int count)
{
    return x >> count | x << (32 - count);
}

static void compress(const unsigned char *block)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++, block += 4)
        w[i] = (uint32_t)block[0] << 24 | block[1] << 16 | block[2] << 8 | block[3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    for (int i = 0; i < 8; i++)
        v[i] = state[i];
    for (int i = 0; i < 64; i++) {
        uint32_t a = v[0], e = v[4];
        uint32_t t = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + constants[i] + w[i];
        uint32_t u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        for (int k = 7; k > 0; k--)
            v[k] = v[k - 1];
        v[4] += t;
        v[0] = t + u;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

/* The address of the digest's 32 bytes. */
unsigned char *sha256(const unsigned char *text, unsigned length)
{
    static const uint32_t initial[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    unsigned char last[128];
    unsigned left = length;
    for (int i = 0; i < 8; i++)
        state[i] = initial[i];
    for (; left >= 64; left -= 64, text += 64)
        compress(text);
    unsigned end = left < 56 ? 64 : 128;
    for (unsigned i = 0; i < end; i++)
        last[i] = i < left ? text[i] : 0;
    last[left] = 0x80;
    for (int i = 0; i < 4; i++)
        last[end - 4 + i] = length * 8 >> (24 - 8 * i);
    compress(last);
    if (end == 128)
        compress(last + 64);
    for (int i = 0; i < 32; i++)
        digest[i] = state[i / 4] >> (24 - i % 4 * 8);
    return digest;
}

/* --- sorting in place, by a heap ----------------------------------------------------------------------------------- */

static void sink(int *heap, int at, int count)
{
    int value = heap[at];
    for (int child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= value)
            break;
        heap[at] = heap[child];
    }
    heap[at] = value;
}

void sort(int *numbers, int count)
{
    for (int i = count / 2 - 1; i >= 0; i--)
        sink(numbers, i, count);
    for (int end = count - 1; end > 0; end--) {
        int greatest = numbers[0];
        numbers[0] = numbers[end];
        numbers[end] = greatest;
        sink(numbers, 0, end);
    }
}
