// The error path reports that there is no memory by a function that reports its own error, and so on.
#include <stdlib.h>

static int failed;

static int log_error(int depth);

static int report(int depth) {
    volatile int next = depth + 1;
    return failed ? log_error(next) + 1 : 0;
}

static int log_error(int depth) {
    volatile int next = depth + 1;
    return report(next) + 1;
}

int main(void) {
    char *block = malloc(100);
    failed = !block;
    int depth = report(0);
    free(block);
    return depth;
}
