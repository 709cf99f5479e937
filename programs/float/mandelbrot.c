/* The Mandelbrot set in double precision, printed with characters. */

#include <stdio.h>

static int iterations(double cx, double cy, int limit)
{
    double x = 0, y = 0;
    int n;
    for (n = 0; n < limit; n++) {
        double xx = x * x, yy = y * y;
        if (xx + yy > 4)
            break;
        y = 2 * x * y + cy;
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
            int n = iterations(-2.125 + column / 14.0, row / 7.0, 27);
            line[column] = shades[n / 3];
        }
        line[44] = '\0';
        puts(line);
    }
    return 0;
}
