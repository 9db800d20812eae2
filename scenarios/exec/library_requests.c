// Calls functions of the C library that request one block for their caller, each from a function apart.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_strdup(void) {
    char *text = strdup("text");
    free(text);
    return !text;
}

static int by_strndup(void) {
    char *text = strndup("text", 2);
    free(text);
    return !text;
}

static int by_array(void) {
    char *block = reallocarray(NULL, 2, 8);
    free(block);
    return !block;
}

static int by_line(void) {
    static char bytes[16];
    char *line = NULL;
    size_t room = 0;
    setvbuf(stdin, bytes, _IOFBF, sizeof bytes);
    ssize_t length = getline(&line, &room, stdin);
    int failed = length < 0 && !feof(stdin);
    free(line);
    return failed;
}

static int by_print(void) {
    char *text = NULL;
    int failed = asprintf(&text, "%d", 7) < 0;
    if (!failed) free(text);
    return failed;
}

int main(void) { return by_strdup() + by_strndup() + by_array() + by_line() + by_print(); }
