// After a refused request an address in the middle of a block is freed, and one on the stack.
#include <stdlib.h>

int main(void) {
    char *buffer = malloc(32), on_stack[32];
    if (!buffer) return 1;
    char *more = malloc(64);
    if (!more) {
        char *volatile wrong = buffer + 8;
        free(wrong);
        wrong = on_stack;
        free(wrong);
        return 1;
    }
    free(more);
    free(buffer);
    return 0;
}
