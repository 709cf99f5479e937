/* wc: counts the lines, words and bytes of standard input, and its longest line. */

#include <ctype.h>
#include <stdio.h>

int main(void)
{
    unsigned long lines = 0, words = 0, bytes = 0, longest = 0, column = 0;
    int in_word = 0, c;

    while ((c = getchar()) != EOF) {
        bytes++;
        column++;
        if (c == '\n') {
            lines++;
            column = 0;
        }
        if (column > longest)
            longest = column;
        if (isspace(c)) {
            in_word = 0;
        } else if (!in_word) {
            in_word = 1;
            words++;
        }
    }
    printf("%7lu %7lu %7lu %7lu\n", lines, words, bytes, longest);
    return 0;
}
