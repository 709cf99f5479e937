/* The Hungarian algorithm: n workers, n jobs, a cost for each pair; the one-to-one assignment of least total cost.
 * Shortest augmenting paths with potentials, O(n^3). Row and column 0 are sentinels. */

enum { MAX = 10, INFINITE = 1 << 28 };

static const int costs[MAX][MAX] = {
    {82, 83, 69, 92, 11, 37, 49,  5, 37, 30},
    {77, 37, 49, 92, 82,  8, 61, 22, 99, 71},
    {11, 69,  5, 86, 54, 10,  4, 83, 29, 40},
    { 8,  9, 98, 23, 16, 75, 55, 66, 18, 52},
    {62, 14, 30, 45, 71, 33, 90, 27, 12, 64},
    {25, 50, 36, 19, 88, 42, 17, 73, 60, 95},
    {44, 68, 21, 57,  3, 85, 39, 96, 74, 28},
    {93, 31, 76, 13, 48, 65, 24, 51, 87,  6},
    {58, 80, 43, 67, 34, 20, 91, 15, 47, 79},
    {26, 53, 97, 41, 63, 89, 72, 38,  2, 56},
};
static int row_potential[MAX + 1], column_potential[MAX + 1];
static int worker_of[MAX + 1], came_from[MAX + 1], distance[MAX + 1], done[MAX + 1];

/* The least total cost over the first n workers and jobs. */
int assign(int n)
{
    for (int j = 0; j <= n; j++)
        row_potential[j] = column_potential[j] = worker_of[j] = 0;

    for (int worker = 1; worker <= n; worker++) {
        int job = 0;
        worker_of[0] = worker;
        for (int j = 0; j <= n; j++) {
            distance[j] = INFINITE;
            done[j] = 0;
        }
        do {  /* Dijkstra over reduced costs until a free job is reached */
            int i = worker_of[job], nearest = 0, delta = INFINITE;
            done[job] = 1;
            for (int j = 1; j <= n; j++) {
                if (done[j])
                    continue;
                int reduced = costs[i - 1][j - 1] - row_potential[i] - column_potential[j];
                if (reduced < distance[j]) {
                    distance[j] = reduced;
                    came_from[j] = job;
                }
                if (distance[j] < delta) {
                    delta = distance[j];
                    nearest = j;
                }
            }
            for (int j = 0; j <= n; j++) {
                if (done[j]) {
                    row_potential[worker_of[j]] += delta;
                    column_potential[j] -= delta;
                } else {
                    distance[j] -= delta;
                }
            }
            job = nearest;
        } while (worker_of[job]);
        while (job) {  /* turn the path round */
            worker_of[job] = worker_of[came_from[job]];
            job = came_from[job];
        }
    }
    return -column_potential[0];
}

/* Who does job j (both counted from 1), after assign(n). */
int worker(int j)
{
    return worker_of[j];
}
