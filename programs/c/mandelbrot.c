/* The Mandelbrot set in fixed-point arithmetic, printed with characters. Numbers have 12 bits after the point. */

#include <stdio.h>

#define POINT 12
#define ONE (1 << POINT)

static int iterations(int cx, int cy, int limit)
{
    int x = 0, y = 0, n;
    for (n = 0; n < limit; n++) {
        int xx = x * x >> POINT, yy = y * y >> POINT;
        if (xx + yy > 4 * ONE)
            break;
        y = (x * y >> (POINT - 1)) + cy;
        x = xx - yy + cx;
    }
    return n;
}

int main(void)
{
    static const char shades[] = " .:-=+*%@#";
    for (int row = -8; row <= 8; row++) {
        char line[45];
        for (int column = 0; column < 44; column++) {
            int n = iterations(-2 * ONE - ONE / 8 + column * ONE / 14, row * ONE / 7, 27);
            line[column] = shades[n / 3];
        }
        line[44] = '\0';
        puts(line);
    }
    return 0;
}
