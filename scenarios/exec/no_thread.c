// Starts a thread, for which the C library itself makes a request. If there is no memory, it says so.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static void *work(void *argument) { return argument; }

int main(void) {
    pthread_t thread;
    void *result = NULL;
    int error = pthread_create(&thread, NULL, work, &thread);
    if (error == EAGAIN) return 1;
    if (error || pthread_join(thread, &result) || result != &thread) abort();
    return 0;
}
