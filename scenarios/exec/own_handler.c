// Has a handler of its own for bad accesses, which turns them into an exit.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void on_bad_access(int signal) {
    (void)signal;
    _exit(70);
}

int main(void) {
    signal(SIGSEGV, on_bad_access);
    char *block = malloc(10);
    block[0] = 1;
    free(block);
    return 0;
}
