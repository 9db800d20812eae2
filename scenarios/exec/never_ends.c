// Never ends: waits, computes or asks for memory for ever, or floods its output.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "waits";
    volatile unsigned long turns = 0;
    if (strcmp(how, "computes") == 0) {
        for (;;) turns++;
    }
    if (strcmp(how, "asks") == 0) {
        for (;;) free(malloc(16 + turns++ % 16));
    }
    if (strcmp(how, "ignores") == 0) {
        signal(SIGXFSZ, SIG_IGN);
    }
    if (strcmp(how, "floods") == 0 || strcmp(how, "ignores") == 0) {
        char *text = malloc(1 << 16);
        if (text == NULL) return 1;
        memset(text, 'x', 1 << 16);
        for (int n = 0; n < 16384; n++) fwrite(text, 1, 1 << 16, stdout);
        free(text);
        return 0;
    }
    for (;;) pause();
}
