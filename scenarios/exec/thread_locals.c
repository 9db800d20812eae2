// Uses the thread-locals of many libraries that it loads: the loader enlarges its table for them, and ends
// the program where it finds no memory.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef LIBRARY
__thread int local;
int *place(void) { return &local; }
#else
int main(int argc, char **argv) {
    int count = 0;
    for (int n = 1; n < argc; n++) {
        void *library = dlopen(argv[n], RTLD_NOW);
        int *(*place)(void) = library ? (int *(*)(void))dlsym(library, "place") : NULL;
        if (!place) return fputs("a library can't be loaded\n", stderr), 1;
        char *block = malloc(100);
        if (!block) return fputs("no memory\n", stderr), 1;
        *place() = n;
        count += *place() == n;
        free(block);
    }
    return printf("%d\n", count) < 0;
}
#endif
