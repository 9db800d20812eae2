// Ends in the way that its argument names, after a block was lost.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *how;

static int lose(void) {
    char *volatile block = malloc(40);
    if (!block) return 3;
    block[0] = 1;
    block = NULL;
    return 0;
}

static void *leave(void *unused) {
    (void)unused;
    volatile char clear[512] = {0};
    int status = clear[0] + lose();
    if (strstr(how, "quick")) quick_exit(status);
    if (strstr(how, "at-once")) _exit(status);
    exit(status);
}

int main(int count, char **words) {
    how = count > 1 ? words[1] : "exit";
    if (strstr(how, "thread")) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, leave, NULL)) return 2;
        for (;;) pause();
    }
    leave(NULL);
}
