/* The greatest singular value of the infinite matrix 1, 1/2, 1/4, 1/3, ..., cut to n rows, by the power method. */

#define MOST 32

static double element(int i, int j)
{
    return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1);
}

static void multiply(int n, int transposed, const double *from, double *to)
{
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < n; j++)
            sum += (transposed ? element(j, i) : element(i, j)) * from[j];
        to[i] = sum;
    }
}

static double u[MOST], v[MOST], w[MOST];

double spectral_norm(int n, int rounds)
{
    if (n > MOST)
        n = MOST;
    for (int i = 0; i < n; i++)
        u[i] = 1;
    while (rounds-- > 0) {
        multiply(n, 0, u, w);
        multiply(n, 1, w, v);
        multiply(n, 0, v, w);
        multiply(n, 1, w, u);
    }
    double vu = 0, vv = 0;
    for (int i = 0; i < n; i++) {
        vu += u[i] * v[i];
        vv += v[i] * v[i];
    }
    return __builtin_sqrt(vu / vv);
}
