// Exits with a status above 1 if it sees who watches: by its variables, its open descriptors, the number
// that the next one gets, the actions of its signals, or its standard input.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    char *block = malloc(10);
    if (!block) return 1;
    free(block);
    int seen = 0;
    for (char **variable = environ; *variable; variable++)
        if (strstr(*variable, "MALLORY") || strstr(*variable, "LD_PRELOAD")) seen = 2;
    if (open("/dev/null", O_RDONLY) != 3) seen = 3;
    for (int number = 4; number < 100; number++)
        if (fcntl(number, F_GETFD) >= 0) seen = 4;
    struct sigaction action;
    for (int number = 1; number < 32; number++)
        if (number != SIGURG && !sigaction(number, NULL, &action) && action.sa_handler != SIG_DFL) seen = number + 10;
    char byte;
    if (read(0, &byte, 1) != 0) seen = 6;
    return seen;
}
