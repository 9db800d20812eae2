// A list is lost: its first node is one finding, and the others are counted with it.
#include <stdlib.h>

struct node { struct node *next; char bytes[24]; };

static struct node *push(struct node *list) {
    struct node *node = malloc(sizeof *node);
    if (node) node->next = list;
    return node;
}

static int make(void) {
    struct node *list = NULL;
    for (int n = 0; n < 4; n++) {
        struct node *longer = push(list);
        if (!longer) return 1; // The list is lost.
        list = longer;
    }
    while (list) {
        struct node *next = list->next;
        free(list);
        list = next;
    }
    return 0;
}

static int clear_stack(int value) {
    volatile char bytes[512] = {0};
    return bytes[value] + value;
}

int main(void) { return clear_stack(make()); }
