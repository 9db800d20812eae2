#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns "first, second", or NULL if there is no memory. */
static char *pair(const char *first, const char *second) {
    char *copy = strdup(first);
    if (copy == NULL) return NULL;
    char *line = malloc(strlen(copy) + strlen(second) + 3);
    if (line == NULL) return NULL; /* The bug: the copy is lost. */
    sprintf(line, "%s, %s", copy, second);
    free(copy);
    return line;
}

int main(void) {
    char *line = pair("hello", "world");
    if (line == NULL) {
        fputs("first: no memory\n", stderr);
        return 1;
    }
    puts(line);
    free(line);
    return 0;
}
