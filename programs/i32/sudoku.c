/* A Sudoku solver: backtracking over bitmasks of the digits that a row, a column and a box still lack. It fills the
 * empty cells in the order of the grid, or always the one with the fewest candidates. */

static const char puzzles[][82] = {
    /* 0: an easy one */
    "530070000600195000098000060800060003400803001700020006060000280000419005000080079",
    /* 1: Arto Inkala, 2012, published as "the world's hardest Sudoku" */
    "800000000003600000070090200050007000000045700000100030001000068008500010090000400",
    /* 2: Arto Inkala, 2010 */
    "005300000800000020070010500400005300010070006003200080060500009004000030000009700",
};

static unsigned char grid[81];
static unsigned char empty[81];  /* cells to fill; the first `depth` of them are filled at any time */
static int empty_count, tried;
static unsigned rows[9], columns[9], boxes[9];  /* bit d - 1 is set while digit d is still to be placed */

static int box_of(int cell)
{
    return cell / 27 * 3 + cell % 9 / 3;
}

static unsigned candidates_of(int cell)
{
    return rows[cell / 9] & columns[cell % 9] & boxes[box_of(cell)];
}

/* Swaps the cell with the fewest candidates to the front of the cells still empty. */
static void pick_fewest(int depth)
{
    int best = depth, fewest = 10;
    for (int i = depth; i < empty_count && fewest > 1; i++) {
        int count = __builtin_popcount(candidates_of(empty[i]));
        if (count < fewest) {
            fewest = count;
            best = i;
        }
    }
    unsigned char cell = empty[best];
    empty[best] = empty[depth];
    empty[depth] = cell;
}

static int fill(int depth, int fewest_first)
{
    if (depth == empty_count)
        return 1;
    if (fewest_first)
        pick_fewest(depth);
    int cell = empty[depth], row = cell / 9, column = cell % 9, box = box_of(cell);
    unsigned candidates = candidates_of(cell);
    while (candidates) {
        unsigned bit = candidates & -candidates;
        candidates ^= bit;
        tried++;
        grid[cell] = __builtin_ctz(bit) + 1;
        rows[row] ^= bit;
        columns[column] ^= bit;
        boxes[box] ^= bit;
        if (fill(depth + 1, fewest_first))
            return 1;
        rows[row] ^= bit;
        columns[column] ^= bit;
        boxes[box] ^= bit;
    }
    grid[cell] = 0;
    return 0;
}

static int solve_puzzle(int puzzle, int fewest_first)
{
    tried = empty_count = 0;
    for (int i = 0; i < 9; i++)
        rows[i] = columns[i] = boxes[i] = 0x1ff;
    for (int cell = 0; cell < 81; cell++) {
        int digit = puzzles[puzzle][cell] - '0';
        grid[cell] = digit;
        if (digit) {
            unsigned bit = 1u << (digit - 1);
            rows[cell / 9] ^= bit;
            columns[cell % 9] ^= bit;
            boxes[box_of(cell)] ^= bit;
        } else {
            empty[empty_count++] = cell;
        }
    }
    return fill(0, fewest_first) ? tried : -1;
}

/* Solves a puzzle, the cell with the fewest candidates first; returns how many digits were tried, or -1 if there is
 * no solution. */
int solve(int puzzle)
{
    return solve_puzzle(puzzle, 1);
}

/* The same, cell by cell in the order of the grid. */
int solve_in_order(int puzzle)
{
    return solve_puzzle(puzzle, 0);
}

/* The digits of a row as one decimal number, after a puzzle is solved. */
int row(int i)
{
    int number = 0;
    for (int j = 0; j < 9; j++)
        number = number * 10 + grid[i * 9 + j];
    return number;
}
