// Near miss of a double free: the pointer is cleared, and freeing null is right.
#include <stdlib.h>

int main(void) {
    char *first = malloc(10);
    if (!first) return 1;
    char *second = malloc(20);
    if (!second) {
        free(first);
        first = NULL;
    }
    free(second);
    free(first);
    return second ? 0 : 1;
}
