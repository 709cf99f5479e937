/* The edit distance of two words (Levenshtein): the least number of letters to insert, delete or replace. */

static const char *const words[] = {"kitten", "sitting", "transformer", "transistor", "", "saturday", "sunday"};
enum { MAX_LENGTH = 31 };

int distance(int a, int b)
{
    const char *s = words[a], *t = words[b];
    unsigned char row[MAX_LENGTH + 1];
    int length = 0;
    while (t[length])
        length++;
    for (int j = 0; j <= length; j++)
        row[j] = j;
    for (int i = 0; s[i]; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 0; j < length; j++) {
            int replaced = diagonal + (s[i] != t[j]);
            int inserted = row[j] + 1, deleted = row[j + 1] + 1;
            int best = replaced < inserted ? replaced : inserted;
            diagonal = row[j + 1];
            row[j + 1] = best < deleted ? best : deleted;
        }
    }
    return row[length];
}
