// The error path frees the state, and its caller still writes to it.
#include <stdlib.h>

struct state { int failed; char *buffer; };

static int grow(struct state *state) {
    state->buffer = malloc(100);
    if (!state->buffer) {
        free(state);
        return -1;
    }
    return 0;
}

int main(void) {
    struct state *state = calloc(1, sizeof *state);
    if (!state) return 1;
    if (grow(state) < 0) {
        state->failed = 1;
        return 1;
    }
    free(state->buffer);
    free(state);
    return 0;
}
