// Loads libraries, of each file that is named, whose thread-locals the C library requests memory for as
// they are used: it ends the program if that is refused. Meanwhile a thread requests memory as well.
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef LIBRARY
static _Thread_local char room[4096];

char *use(void) {
    char *volatile place = room;
    return place;
}
#else
static void *work(void *unused) {
    for (int n = 0; n < 100; n++) free(malloc(n));
    return unused;
}

int main(int argc, char **argv) {
    for (int n = 1; n < argc; n++) {
        void *library = dlopen(argv[n], RTLD_NOW);
        if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
        char *(*use)(void) = dlsym(library, "use");
        if (!use) return 1;
        use()[1] = 1;
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL)) return 1;
        use()[2] = 1;
        pthread_join(thread, NULL);
    }
    return 0;
}
#endif
