// Fails in any case.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    free(malloc(10));
    fputs("fails: there is nothing to do\n", stderr);
    return 3;
}
