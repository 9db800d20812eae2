// Near miss of an overflow: the text fills the block to its last byte.
#include <stdlib.h>
#include <string.h>

int main(void) {
    char *text = malloc(5);
    if (!text) return 1;
    char *longer = realloc(text, 6);
    if (longer) text = longer;
    memcpy(text, "world", longer ? 6 : 5);
    free(text);
    return 0;
}
