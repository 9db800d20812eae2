// Near miss of a leak: at its exit the program still leads to all its blocks, by a static, by a pointer
// into the middle of one, by a thread-local, by a block that is led to, and by its stack.
#include <stdlib.h>

static char *by_static, *by_middle;
static _Thread_local char *by_thread;
struct node { struct node *next; };
static struct node *list;

int main(void) {
    by_static = malloc(10);
    if (!by_static) return 1;
    char *whole = malloc(100);
    if (!whole) return 2;
    by_middle = whole + 50;
    by_thread = malloc(20);
    if (!by_thread) return 3;
    for (int n = 0; n < 3; n++) {
        struct node *node = malloc(sizeof *node);
        if (!node) return 4;
        node->next = list;
        list = node;
    }
    char *volatile by_stack = malloc(30);
    exit(by_stack ? 0 : 5);
}
