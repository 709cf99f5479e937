/* The words of /notes/in.txt, the most frequent first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct word {
  char text[64];
  int count;
};

static int by_count(const void *a, const void *b) {
  const struct word *x = a, *y = b;
  return x->count != y->count ? y->count - x->count : strcmp(x->text, y->text);
}

int main(void) {
  static struct word words[1000];
  char text[64];
  int n = 0;
  FILE *in = fopen("/notes/in.txt", "r");
  if (!in) {
    perror("/notes/in.txt");
    return 1;
  }
  while (n < 1000 && fscanf(in, "%63s", text) == 1) {
    int k = 0;
    while (k < n && strcmp(words[k].text, text))
      k++;
    if (k == n)
      strcpy(words[n++].text, text);
    words[k].count++;
  }
  qsort(words, n, sizeof *words, by_count);
  for (int k = 0; k < n; k++)
    printf("%3d %s\n", words[k].count, words[k].text);
  return 0;
}
