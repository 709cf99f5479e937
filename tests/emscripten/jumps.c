// longjmp out of several calls, out of a handler, and past a second setjmp.
#include <setjmp.h>
#include <stdio.h>

static jmp_buf outer, inner;

static int down(jmp_buf *to, int n, int value) {
  if (n == 0) longjmp(*to, value);
  return down(to, n - 1, value) + 1;
}

int main(void) {
  for (int k = 0; k < 3; k++) {
    int got = setjmp(outer);
    if (got) {
      printf("outer got %d in round %d\n", got, k);
      continue;
    }
    int also = setjmp(inner);
    if (also) {
      printf("inner got %d\n", also);
      down(&outer, 2, also + k);
    }
    if (k == 1) down(&outer, 4, 5);
    down(&inner, 3, 10);
  }
  return 3;
}
