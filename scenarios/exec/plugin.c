// Loads a library that requests a block as it is loaded, and frees it as it is unloaded, twice. The
// argument makes the program forget to unload it.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef LIBRARY
static char *block, **kept;

__attribute__((constructor)) static void begin(void) { block = malloc(33); }
__attribute__((destructor)) static void end(void) { free(block); }
void keep(char **place) {
    kept = place;
    *kept = malloc(44);
}
#else
static char *ours;

int main(void) {
    for (int n = 0; n < 2; n++) {
        void *library = dlopen("./libplugin.so", RTLD_NOW);
        if (!library) return fprintf(stderr, "plugin: %s\n", dlerror()), 1;
        void (*keep)(char **) = dlsym(library, "keep");
        if (!keep) return 1;
        keep(&ours);
        if (dlclose(library)) return 1;
        free(ours);
    }
    return 0;
}
#endif
