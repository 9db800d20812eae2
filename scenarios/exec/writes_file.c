#include <stdio.h>
#include <stdlib.h>

/* Needs the file "in", and a folder in which it has never run before. */
int main(void) {
    FILE *in = fopen("in", "r"), *out = fopen("out", "wx");
    char *line = in == NULL || out == NULL ? NULL : malloc(100);
    int is_done = line != NULL && fgets(line, 100, in) != NULL && fputs(line, out) >= 0;
    if (is_done) puts(line);
    free(line);
    if (in != NULL) fclose(in);
    if (out != NULL) fclose(out);
    if (!is_done) fputs("writes_file: no file, or no memory\n", stderr);
    return !is_done;
}
