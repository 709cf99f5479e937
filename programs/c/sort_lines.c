/* sort: reads lines, sorts them with qsort, and prints them with how often each occurs. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void)
{
    char **lines = NULL, buffer[80];
    size_t count = 0, capacity = 0;

    while (fgets(buffer, sizeof buffer, stdin)) {
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 4;
            lines = realloc(lines, capacity * sizeof *lines);
            if (!lines)
                return 1;
        }
        buffer[strcspn(buffer, "\n")] = '\0';
        lines[count] = malloc(strlen(buffer) + 1);
        if (!lines[count])
            return 1;
        strcpy(lines[count++], buffer);
    }
    if (count > 0)
        qsort(lines, count, sizeof *lines, by_text);
    for (size_t i = 0; i < count;) {
        size_t same = 1;
        while (i + same < count && strcmp(lines[i], lines[i + same]) == 0)
            same++;
        printf("%4zu %s\n", same, lines[i]);
        i += same;
    }
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(lines);
    return 0;
}
