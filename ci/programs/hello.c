#include <stddef.h>
#define TWICE(x) ((x) + (x))

struct point { int x, y; };

/* Adds the coordinates of all points. */
int sum(const struct point *points, size_t count) {
    int all = 0;
    for (size_t i = 0; i < count; i++) all += points[i].x + TWICE(points[i].y);
    return all;
}

int main(void) {
    struct point points[] = {{1, 2}, {3, 4}};
    return sum(points, 2) - 16;
}
