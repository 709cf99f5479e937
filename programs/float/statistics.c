/* Numbers from standard input: count, extremes, mean, deviation, geometric mean, and a histogram. */

#include <math.h>
#include <stdio.h>

#define MOST 100
#define BARS 5

int main(void)
{
    double value[MOST], sum = 0, squares = 0, logs = 0, least = INFINITY, most = -INFINITY;
    int count = 0;
    while (count < MOST && scanf("%lf", &value[count]) == 1) {
        double x = value[count++];
        sum += x;
        logs += log(fabs(x));
        least = fmin(least, x);
        most = fmax(most, x);
    }
    if (!count) {
        fputs("no numbers\n", stderr);
        return 1;
    }
    double mean = sum / count;
    for (int i = 0; i < count; i++)
        squares += pow(value[i] - mean, 2);
    printf("count %d, from %g to %g\n", count, least, most);
    printf("mean %f, deviation %.4e, geometric mean %g\n", mean, sqrt(squares / count), exp(logs / count));
    for (int bar = 0; bar < BARS; bar++) {
        double from = least + (most - least) * bar / BARS, to = least + (most - least) * (bar + 1) / BARS;
        int inside = 0;
        for (int i = 0; i < count; i++)
            inside += value[i] >= from && (value[i] < to || bar == BARS - 1);
        printf("%8.2f |%.*s\n", from, inside, "####################");
    }
    return 0;
}
