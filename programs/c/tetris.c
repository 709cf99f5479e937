/* Falling blocks that play themselves: for each piece every rotation and column is tried, and the landing with the
 * least holes and bumps is taken. Boards are rows of bits. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define WIDTH 10
#define HEIGHT 14
#define FULL ((1u << WIDTH) - 1)

typedef struct {
    uint16_t rows[HEIGHT];  /* row 0 is the top */
} Board;

/* The rotations of a piece as 4 x 4 bitmaps, the top row in the lowest four bits. */
typedef struct {
    char letter;
    int rotations;
    uint16_t shapes[4];
} Piece;

static const Piece pieces[] = {
    {'I', 2, {0x000f, 0x1111}},
    {'O', 1, {0x0033}},
    {'T', 4, {0x0027, 0x0131, 0x0072, 0x0232}},
    {'S', 2, {0x0036, 0x0231}},
    {'Z', 2, {0x0063, 0x0132}},
    {'J', 4, {0x0071, 0x0113, 0x0047, 0x0322}},
    {'L', 4, {0x0074, 0x0311, 0x0017, 0x0223}},
};
#define PIECES (sizeof pieces / sizeof pieces[0])

static uint32_t random_state = 2024;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static unsigned shape_row(uint16_t shape, int row)
{
    return shape >> (4 * row) & 15;
}

static bool fits(const Board *b, uint16_t shape, int y, int x)
{
    for (int row = 0; row < 4; row++) {
        unsigned bits = shape_row(shape, row) << x;
        if (!bits)
            continue;
        if (y + row >= HEIGHT || bits & ~FULL || b->rows[y + row] & bits)
            return false;
    }
    return true;
}

static void place(Board *b, uint16_t shape, int y, int x)
{
    for (int row = 0; row < 4; row++)
        if (shape_row(shape, row))
            b->rows[y + row] |= shape_row(shape, row) << x;
}

/* Removes full rows; returns how many. */
static int clear_rows(Board *b)
{
    int target = HEIGHT - 1, cleared = 0;
    for (int y = HEIGHT - 1; y >= 0; y--) {
        if (b->rows[y] == FULL)
            cleared++;
        else
            b->rows[target--] = b->rows[y];
    }
    while (target >= 0)
        b->rows[target--] = 0;
    return cleared;
}

/* Lower is better. */
static int judge(const Board *b, int cleared, int landing)
{
    int holes = 0, bumps = 0, previous = -1;
    for (int x = 0; x < WIDTH; x++) {
        int y = 0, height;
        while (y < HEIGHT && !(b->rows[y] >> x & 1))
            y++;
        height = HEIGHT - y;
        for (; y < HEIGHT; y++)
            holes += !(b->rows[y] >> x & 1);
        if (previous >= 0)
            bumps += height > previous ? height - previous : previous - height;
        previous = height;
    }
    return 36 * holes + 8 * bumps - 4 * landing - 30 * cleared;
}

/* Drops the piece where it is best; false when there is no room any more. */
static bool play(Board *board, const Piece *piece, int *cleared)
{
    Board best_board;
    int best = INT32_MAX, best_cleared = 0;
    for (int r = 0; r < piece->rotations; r++) {
        for (int x = 0; x < WIDTH; x++) {
            int y = 0;
            if (!fits(board, piece->shapes[r], 0, x))
                continue;
            while (fits(board, piece->shapes[r], y + 1, x))
                y++;
            Board trial = *board;
            place(&trial, piece->shapes[r], y, x);
            int rows = clear_rows(&trial);
            int score = judge(&trial, rows, y);
            if (score < best) {
                best = score;
                best_board = trial;
                best_cleared = rows;
            }
        }
    }
    if (best == INT32_MAX)
        return false;
    *board = best_board;
    *cleared = best_cleared;
    return true;
}

static void print(const Board *b)
{
    int top = 0;
    while (top < HEIGHT - 1 && b->rows[top] == 0)
        top++;
    for (int y = top; y < HEIGHT; y++) {
        putchar('|');
        for (int x = 0; x < WIDTH; x++)
            putchar(b->rows[y] >> x & 1 ? '#' : ' ');
        puts("|");
    }
    puts("+----------+");
}

int main(void)
{
    static const int points[] = {0, 40, 100, 300, 1200};
    Board board = {{0}};
    int score = 0, lines = 0, played;
    for (played = 0; played < 30; played++) {
        const Piece *piece = &pieces[next_random() % PIECES];
        int cleared = 0;
        if (!play(&board, piece, &cleared)) {
            puts("game over");
            break;
        }
        putchar(piece->letter);
        lines += cleared;
        score += points[cleared];
    }
    printf("\n");
    print(&board);
    printf("%d pieces, %d lines, %d points\n", played, lines, score);
    return 0;
}
