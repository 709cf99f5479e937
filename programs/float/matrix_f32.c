/* Single precision: a rotation is applied to a matrix again and again; element i, j of what comes out. */

#define N 4

static float a[N][N], b[N][N], c[N][N];

static void multiply(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            float sum = 0;
            for (int k = 0; k < N; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

float rotated(int times, int i, int j)
{
    for (int r = 0; r < N; r++)
        for (int s = 0; s < N; s++) {
            a[r][s] = r == s ? 1 : 0;
            b[r][s] = (float)(r * N + s + 1) / 7;
        }
    /* 3/5, 4/5: turns the plane of the first and the third axis */
    a[0][0] = a[2][2] = 0.6f;
    a[0][2] = -0.8f;
    a[2][0] = 0.8f;
    while (times-- > 0) {
        multiply();
        for (int r = 0; r < N; r++)
            for (int s = 0; s < N; s++)
                b[r][s] = c[r][s];
    }
    return b[i & (N - 1)][j & (N - 1)];
}

/* As an integer; the compiler makes INT_MIN of what does not fit. */
int scaled(int times, float factor)
{
    return (int)(rotated(times, 0, 0) * factor);
}
