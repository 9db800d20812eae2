// An assertion that memory is there.
#include <assert.h>
#include <stdlib.h>

int main(void) {
    char *block = malloc(10);
    assert(block != NULL);
    free(block);
    return 0;
}
