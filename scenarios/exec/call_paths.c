// One function requests memory for all others. Two of the three ways that lead to it look at what it
// gives them.
#include <stdlib.h>

#define APART __attribute__((noipa))

APART static char *request(int size) {
    char *block = malloc(size);
    __asm__ volatile("" : "+r"(block));
    return block;
}

APART static int checked(void) {
    char *block = request(10);
    free(block);
    return !block;
}

APART static int also_checked(void) {
    char *block = request(20);
    free(block);
    return !block;
}

APART static int unchecked(void) {
    char *volatile block = request(30);
    *(volatile char *)block = 1; // The bug: it may be NULL.
    free(block);
    return 0;
}

int main(void) {
    if (checked() || also_checked()) return 1;
    return unchecked();
}
