// When a larger buffer is refused, the text is written to the old one, which is one byte too short.
#include <stdlib.h>
#include <string.h>

int main(void) {
    char *text = malloc(5);
    if (!text) return 1;
    char *longer = realloc(text, 6);
    if (longer) text = longer;
    memcpy(text, "world", 6);
    free(text);
    return 0;
}
