// Ends itself by the signal that is named: KILL or TERM.
#include <signal.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    free(malloc(8));
    raise(argc > 1 && strcmp(argv[1], "TERM") == 0 ? SIGTERM : SIGKILL);
    return 0;
}
