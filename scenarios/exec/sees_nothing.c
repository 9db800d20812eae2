// Writes to a file what a program sees of its surroundings: its variables, its open descriptors and the
// number that the next one gets, the actions of its signals, and its standard input.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

int main(void) {
    char *block = malloc(10);
    if (!block) return 1;
    free(block);
    int next = open("/dev/null", O_RDONLY);
    close(next);
    FILE *seen = fopen("seen.txt", "w");
    if (!seen) return 1;
    for (char **variable = environ; *variable; variable++) fprintf(seen, "%s\n", *variable);
    fprintf(seen, "next descriptor: %d\n", next);
    for (int number = 0; number < 1 << 20; number++)
        if (fcntl(number, F_GETFD) >= 0) fprintf(seen, "open: %d\n", number);
    struct sigaction action;
    for (int number = 1; number < 32; number++)
        if (number != SIGURG && !sigaction(number, NULL, &action))
            fprintf(seen, "signal %d: %d\n", number, action.sa_handler == SIG_DFL);
    char byte;
    fprintf(seen, "standard input: %zd bytes\n", read(0, &byte, 1));
    return fclose(seen) ? 1 : 0;
}
