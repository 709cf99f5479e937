/* Copies /notes/in.txt to /notes/numbered.txt, with a number before each line. */
#include <stdio.h>

int main(void) {
  char line[256];
  int lines = 0;
  FILE *in = fopen("/notes/in.txt", "r"), *out = fopen("/notes/numbered.txt", "w");
  if (!in || !out) {
    perror("/notes");
    return 1;
  }
  while (fgets(line, sizeof line, in))
    fprintf(out, "%3d  %s", ++lines, line);
  fclose(out);
  printf("%d lines\n", lines);
  return 0;
}
