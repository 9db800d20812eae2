// Prints what a run may differ by from others: its arguments, its variables, the folder that it works in,
// its descriptors, and the signals that it ignores or blocks.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    static char room[1 << 16], folder[4096];
    setvbuf(stdout, room, _IOFBF, sizeof room);
    char *block = malloc(10);
    free(block);
    for (int n = 0; n < argc; n++) printf("%s at %p\n", argv[n], (void *)argv[n]);
    for (char **variable = environ; *variable; variable++) puts(*variable);
    puts(getcwd(folder, sizeof folder) ? folder : "nowhere");
    int next = open("/dev/null", O_RDONLY);
    printf("next descriptor: %d\n", next);
    for (int number = 0; number < 900; number++)
        if (fcntl(number, F_GETFD) >= 0) printf("open: %d\n", number);
    sigset_t blocked;
    struct sigaction action;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (int number = 1; number < 32; number++) {
        sigaction(number, NULL, &action);
        int is_ignored = action.sa_handler == SIG_IGN;
        if (is_ignored || sigismember(&blocked, number)) printf("signal %d: %d\n", number, is_ignored);
    }
    return 0;
}
