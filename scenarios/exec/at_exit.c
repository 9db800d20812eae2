// Has more exit handlers than the C library has room for without a request. Each requests a block and
// frees it and one of `main`, and one of them uses what it was refused.
#include <stdlib.h>

static char *blocks[40];
static int next = 40;

static void give_back(void) {
    char *fresh = malloc(7);
    if (next == 1) fresh[0] = 1; // The bug: it may be NULL.
    free(fresh);
    free(blocks[--next]);
}

int main(void) {
    for (int n = 0; n < 40; n++)
        if (!(blocks[n] = malloc(8)) || atexit(give_back)) return 1;
    return 0;
}
