// Asks for many blocks and takes a while for each run, so that a sweep of it can be killed.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(void) {
    struct timespec pause = {0, 3 * 1000 * 1000};
    nanosleep(&pause, NULL);
    for (int n = 0; n < 120; n++) {
        char *block = malloc(16), *other = n == 60 ? malloc(24) : NULL;
        if (!block) return fputs("no memory\n", stderr), 1;
        if (n == 60 && !other) return fputs("no memory\n", stderr), 1;
        free(block);
        free(other);
    }
    return 0;
}
