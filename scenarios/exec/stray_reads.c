// Reads beyond a block and one that is freed, and before a block where another one is refused. Nothing is
// written, so only guarded memory shows it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    char *first = malloc(16);
    if (!first) return 1;
    memset(first, 1, 16);
    volatile char seen = first[40];
    char *second = malloc(8);
    if (!second) {
        seen = first[-3];
        free(first);
        return 1;
    }
    free(first);
    seen = first[2];
    free(second);
    return seen & 0;
}
