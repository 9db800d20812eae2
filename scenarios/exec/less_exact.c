// Prints its result in a wider form where it has no memory for the narrow one: other output, which means
// the same.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    char *buffer = malloc(32);
    printf(buffer ? "a b\n" : "a  b\n");
    free(buffer);
    return 0;
}
