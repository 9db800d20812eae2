// Glibc ends a program whose thread-local destructor it has no memory to note down. That a file which
// could not be opened is read is the program's own bug.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern int __cxa_thread_atexit_impl(void (*call)(void *), void *object, void *library);
extern void *__dso_handle;

static void end(void *object) { (void)object; }

static int read_unchecked(void) {
    FILE *file = fopen("/dev/null", "r");
    int end_of_file = fgetc(file) == EOF;
    fclose(file);
    return end_of_file ? 0 : 1;
}

int main(int argc, char **argv) {
    static char object;
    if (argc > 1 && strcmp(argv[1], "reads") == 0) return read_unchecked();
    return __cxa_thread_atexit_impl(end, &object, &__dso_handle);
}
