#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* As tables do whose hashes are seeded by the time: how much is requested depends on the second, and the
   result doesn't. */
int main(void) {
    size_t seed = (size_t)time(NULL);
    for (size_t nth = 0; nth < 2 + seed % 7; nth++) {
        char *part = malloc(1 + nth + seed % 1000003);
        if (part == NULL) {
            fputs("seeded_by_time: no memory\n", stderr);
            return 1;
        }
        free(part);
    }
    puts("done");
    return 0;
}
