// Reads variables that it has never set: what is left on the stack where it begins decides its result.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    unsigned long left[1024], sum = 0;
    volatile unsigned long *words = left;
    for (int n = 0; n < 1024; n++) sum = sum * 31 + words[n];
    char *block = malloc(10);
    if (!block) return 1;
    free(block);
    printf("%lx\n", sum);
    return 0;
}
