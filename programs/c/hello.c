#include <stdio.h>

int main(void)
{
    printf("Hello, %s! %d + %d = %d, and 0x%08x is %u.\n", "world", 40, 2, 40 + 2, 0xbeefu, 0xbeefu);
    return 0;
}
