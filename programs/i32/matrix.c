/* The product of two n x n integer matrices, n <= 16. */

enum { MAX = 16 };
static int a[MAX][MAX], b[MAX][MAX], product[MAX][MAX];

/* Fills a and b with small numbers, multiplies, and returns the trace of the product. */
int multiply(int n)
{
    int trace = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            a[i][j] = i * 3 + j - 4;
            b[i][j] = i - 2 * j + 7;
        }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            int sum = 0;
            for (int k = 0; k < n; k++)
                sum += a[i][k] * b[k][j];
            product[i][j] = sum;
        }
        trace += product[i][i];
    }
    return trace;
}

/* An element of the product, after multiply(n). */
int entry(int row, int column)
{
    return product[row][column];
}
