/* The digits of pi by the spigot of Rabinowitz and Wagon: only small integers, one more digit with every round. */

enum { MAX_DIGITS = 60, CELLS = MAX_DIGITS * 10 / 3 + 1 };
static int cells[CELLS];
static unsigned char digits[MAX_DIGITS + 8];

/* Computes the first n digits of pi (3 1 4 1 5 ...), n <= 60, and returns their sum. */
int pi(int n)
{
    int size = n * 10 / 3 + 1, produced = 0, nines = 0, held = -1, sum = 0;
    for (int i = 0; i < size; i++)
        cells[i] = 2;
    while (produced < n) {
        int carry = 0;
        for (int i = size - 1; i > 0; i--) {
            int x = cells[i] * 10 + carry;
            cells[i] = x % (2 * i + 1);
            carry = x / (2 * i + 1) * i;
        }
        int x = cells[0] * 10 + carry, digit = x / 10;
        cells[0] = x % 10;
        if (digit == 9) {
            nines++;  /* may still become 10 */
            continue;
        }
        /* the digit held back, and the nines behind it, are certain now */
        if (held >= 0)
            digits[produced++] = held + digit / 10;
        for (; nines > 0 && produced < n; nines--)
            digits[produced++] = digit >= 10 ? 0 : 9;
        held = digit % 10;
        nines = 0;
    }
    for (int i = 0; i < n; i++)
        sum += digits[i];
    return sum;
}

/* After pi(n): nine digits as a decimal number, from place `first` on (place 0 is the 3). */
int nine_digits(int first)
{
    int number = 0;
    for (int i = first; i < first + 9; i++)
        number = number * 10 + digits[i];
    return number;
}
