#include <stdlib.h>

typedef void (*handler)(void);

static handler *handlers;

static void handle(void) {}

static void call_first(void) {
    /* The bug: nobody has set it. */
    (*handlers)();
    free(handlers);
}

int main(void) {
    static handler none;
    handlers = malloc(sizeof *handlers);
    if (handlers == NULL) handlers = &none;
    else *handlers = handle;
    call_first();
    return 0;
}
