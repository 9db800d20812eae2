// A block is freed on the way out of an error, and again at the end.
#include <stdlib.h>

int main(void) {
    char *first = malloc(10);
    if (!first) return 1;
    char *second = malloc(20);
    if (!second) free(first); // ... and goes on.
    free(second);
    free(first);
    return second ? 0 : 1;
}
