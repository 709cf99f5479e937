/* Conway's Game of Life on a torus of 64 x 64 cells, a row in each 64-bit word: the eight neighbours of all cells of a
 * row are added at once, bit by bit. */

#include <stdint.h>

enum { SIZE = 64 };
static uint64_t grid[SIZE], next[SIZE];

static const char *const patterns[] = {
    "OOO..\n..O..\n.O...\n",      /* 0: glider */
    ".OO\nOO.\n.O.\n",            /* 1: R-pentomino */
    ".O.....\n...O...\nOO..OOO\n",  /* 2: acorn */
};

static uint64_t left(uint64_t row)
{
    return row << 1 | row >> 63;
}

static uint64_t right(uint64_t row)
{
    return row >> 1 | row << 63;
}

/* Adds one neighbour's bits to three-bit counters that stop at 4 or more. */
static void add(uint64_t neighbour, uint64_t *ones, uint64_t *twos, uint64_t *fours)
{
    uint64_t carry = *ones & neighbour;
    *ones ^= neighbour;
    *fours |= *twos & carry;
    *twos ^= carry;
}

static void generation(void)
{
    for (int y = 0; y < SIZE; y++) {
        uint64_t above = grid[(y + SIZE - 1) % SIZE], row = grid[y], below = grid[(y + 1) % SIZE];
        uint64_t ones = 0, twos = 0, fours = 0;
        if (!(above | row | below)) {
            next[y] = 0;
            continue;
        }
        add(left(above), &ones, &twos, &fours);
        add(above, &ones, &twos, &fours);
        add(right(above), &ones, &twos, &fours);
        add(left(row), &ones, &twos, &fours);
        add(right(row), &ones, &twos, &fours);
        add(left(below), &ones, &twos, &fours);
        add(below, &ones, &twos, &fours);
        add(right(below), &ones, &twos, &fours);
        next[y] = twos & ~fours & (ones | row);  /* three neighbours, or two and alive */
    }
    __builtin_memcpy(grid, next, sizeof grid);
}

/* Puts a pattern into the middle of an empty torus, runs it, and returns the number of living cells. */
int life(int pattern, int generations)
{
    const char *p = patterns[pattern];
    int alive = 0;
    __builtin_memset(grid, 0, sizeof grid);
    for (int y = SIZE / 2; *p; y++, p++)
        for (int x = SIZE / 2; *p != '\n'; x++, p++)
            grid[y] |= (uint64_t)(*p == 'O') << x;
    while (generations-- > 0)
        generation();
    for (int y = 0; y < SIZE; y++)
        alive += __builtin_popcountll(grid[y]);
    return alive;
}

/* A row of the torus as 64 bits, column 0 the lowest. */
int64_t row(int y)
{
    return grid[y];
}
