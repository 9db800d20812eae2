// The result of a request is used without a look at it, in one function for all.
#include <stdlib.h>

static char *zeroed(int size) {
    char *block = malloc(size);
    block[0] = 0;
    return block;
}

int main(void) {
    for (int size = 1; size < 4; size++) free(zeroed(size));
    free(zeroed(100));
    return 0;
}
