/* N queens by backtracking over bitmasks: one bit per column and per diagonal. */

static int place(unsigned full, unsigned columns, unsigned left, unsigned right)
{
    if (columns == full)
        return 1;
    int count = 0;
    unsigned open = full & ~(columns | left | right);
    while (open) {
        unsigned queen = open & -open;
        open ^= queen;
        count += place(full, columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
    return count;
}

/* The number of ways to set n queens on an n x n board so that none attacks another. */
int queens(int n)
{
    return place((1u << n) - 1, 0, 0, 0);
}
