// Starts a thread before `main`, and waits for what it does.
#include <pthread.h>
#include <stdlib.h>

static pthread_t thread;
static volatile int go;

static void *work(void *unused) {
    while (!go) {}
    free(malloc(10));
    return unused;
}

__attribute__((constructor)) static void begin(void) { pthread_create(&thread, NULL, work, NULL); }

int main(void) {
    char *b = malloc(8);
    free(b);
    go = 1;
    pthread_join(thread, NULL);
    return 0;
}
