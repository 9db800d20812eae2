// Makes many requests of one kind as it starts. With an argument the last of them is used without a look
// at it, otherwise a later one of another kind.
#include <stdlib.h>

static int start_up(int careful) {
    for (int n = 0; n < 200; n++) {
        char *block = malloc(n + 1);
        if (!block && n < careful) return 1;
        block[0] = 1;
        free(block);
    }
    return 0;
}

static int work(void) {
    char *block = malloc(300);
    block[0] = 1; // The bug: it may be NULL.
    free(block);
    return 0;
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) return start_up(199);
    return start_up(200) ? 1 : work();
}
