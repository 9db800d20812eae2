// Loads a library that looks into its own libraries first, and frees what that has requested.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef LIBRARY
char *greeting(void) { return strdup("hello"); }
#else
int main(void) {
    void *library = dlopen("./libdeep_bind.so", RTLD_NOW | RTLD_DEEPBIND);
    char *(*greeting)(void) = library ? (char *(*)(void))dlsym(library, "greeting") : NULL;
    if (!greeting) return fputs("the library can't be loaded\n", stderr), 1;
    char *text = greeting();
    if (!text) return fputs("no memory\n", stderr), 1;
    free(text);
    return 0;
}
#endif
