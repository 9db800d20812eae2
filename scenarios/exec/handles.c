// Has a handler of its own for bad accesses, and does there what its argument names.
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *how;
static sigjmp_buf before;

static void on_bad_access(int signal) {
    (void)signal;
    if (strcmp(how, "aborts") == 0) abort();
    if (strcmp(how, "jumps") == 0) siglongjmp(before, 1);
    _exit(strcmp(how, "fails") == 0);
}

int main(int argc, char **argv) {
    how = argc > 1 ? argv[1] : "aborts";
    struct sigaction action = {.sa_handler = on_bad_access};
    sigaction(SIGSEGV, &action, NULL);
    if (sigsetjmp(before, 1)) return 1;
    char *block = malloc(10);
    block[0] = 1;
    free(block);
    return 0;
}
