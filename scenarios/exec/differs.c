// Writes what differs from run to run: its process id, the time in nanoseconds, or in seconds.
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char *line = malloc(80);
    if (line == NULL) {
        fputs("no memory\n", stderr);
        return 1;
    }
    const char *how = argc > 1 ? argv[1] : "";
    if (strcmp(how, "nanoseconds") == 0) {
        snprintf(line, 80, "the time is %ld.%09ld", (long)now.tv_sec, now.tv_nsec);
    } else if (strcmp(how, "status") == 0) {
        free(line);
        return (int)(now.tv_nsec / 1000 % 97) + 1;
    } else {
        snprintf(line, 80, "process %d", (int)getpid());
    }
    puts("hello");
    puts(line);
    free(line);
    return 0;
}
