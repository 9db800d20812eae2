// Waits for memory that never comes.
#include <stdlib.h>

int main(void) {
    char *block = malloc(10);
    volatile int turns = 0;
    while (!block) turns++;
    free(block);
    return 0;
}
