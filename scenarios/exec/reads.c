// Counts the bytes of its standard input, or of the file that is named, from another folder.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    FILE *from = argc > 1 ? fopen(argv[1], "r") : stdin;
    if (from == NULL || chdir("/") != 0) {
        perror("reads");
        return 1;
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    long bytes = 0;
    while ((length = getline(&line, &room, from)) > 0) bytes += length;
    int failed = ferror(from) || !feof(from);
    free(line);
    if (failed) {
        fputs("reads: no memory\n", stderr);
        return 1;
    }
    printf("%ld bytes\n", bytes);
    return 0;
}
