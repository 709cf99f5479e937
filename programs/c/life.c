/* Conway's Game of Life: a glider and a blinker on a small torus, every second generation printed. */

#include <stdio.h>
#include <string.h>

#define WIDTH 20
#define HEIGHT 8

static char board[HEIGHT][WIDTH];

static int neighbours(int y, int x)
{
    int count = 0;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            if (dy || dx)
                count += board[(y + dy + HEIGHT) % HEIGHT][(x + dx + WIDTH) % WIDTH];
    return count;
}

static void step(void)
{
    char next[HEIGHT][WIDTH];
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            int n = neighbours(y, x);
            next[y][x] = n == 3 || (n == 2 && board[y][x]);
        }
    memcpy(board, next, sizeof board);
}

static void print(int generation)
{
    printf("generation %d\n", generation);
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++)
            putchar(board[y][x] ? '#' : '.');
        putchar('\n');
    }
}

int main(void)
{
    board[0][1] = board[1][2] = board[2][0] = board[2][1] = board[2][2] = 1;
    board[4][14] = board[4][15] = board[4][16] = 1;
    for (int generation = 0; generation <= 8; generation++) {
        if (generation % 2 == 0)
            print(generation);
        step();
    }
    return 0;
}
