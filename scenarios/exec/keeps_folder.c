#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    static char folder[4096];
    if (getcwd(folder, sizeof folder) == NULL) return 2;
    char *copy = strdup(folder);
    char *line = malloc(100);
    if (copy == NULL || line == NULL) {
        /* The bug: the other one is lost. */
        fputs("keeps_folder: no memory\n", stderr);
        copy = line = NULL;
        return 1;
    }
    free(copy);
    free(line);
    return 0;
}
