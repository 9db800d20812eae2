// Becomes another program, by each function that takes the words as a list: more of them than there are
// registers for arguments.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "execl";
    char *environment[] = {"A=1", NULL};
    char *kept = malloc(10);
    if (!kept) return 1;
    if (!strcmp(how, "execl")) execl("/bin/echo", "echo", "1", "2", "3", "4", "5", "6", "7", "8", (char *)NULL);
    if (!strcmp(how, "execlp")) execlp("echo", "echo", "1", (char *)NULL);
    if (!strcmp(how, "execle")) {
        execle("/usr/bin/env", "env", "-u", "B", "-u", "C", "-u", "D", (char *)NULL, environment);
    }
    if (!strcmp(how, "missing")) execl("/nowhere/program", "program", (char *)NULL);
    free(kept);
    return puts("still here") < 0;
}
