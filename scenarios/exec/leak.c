// A block is lost on the way out of an error: the first one is not freed when the second is refused.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *copy(const char *text) {
    char *fresh = malloc(strlen(text) + 1);
    return fresh ? strcpy(fresh, text) : NULL;
}

int main(void) {
    char *first = copy("first");
    if (!first) return fputs("no memory\n", stderr), 1;
    char *second = copy("second");
    if (!second) return fputs("no memory\n", stderr), 1;
    int equal = strcmp(first, second) == 0;
    free(first);
    free(second);
    return equal;
}
